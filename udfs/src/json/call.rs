//! What the functions over JSON share: names, argument types, and kernels over whole columns.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, LargeStringBuilder, StringViewBuilder};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field};
use datafusion_common::{DataFusionError, Result, ScalarValue, exec_err, plan_err};
use datafusion_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};

use super::TYPE;

/// The largest value that is made, in bytes.
const MAX_BYTES: usize = 64 << 20;

/// What an argument is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Argument {
    /// JSON, or a text that is read as JSON.
    Json,
    Text,
    /// A key or the position of an element.
    Step,
    /// An array of texts, or its text: `{a,b}`.
    Texts,
    Flag,
    Any,
}

/// What is given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Json,
    Text,
    Flag,
    Number,
    Jsons,
    Texts,
}

/// Arrays of one length, which is told because there may be no array.
pub(super) type Kernel = fn(&[ArrayRef], usize) -> Result<ArrayRef>;

/// A function: all is in the fields.
#[derive(Debug)]
pub(super) struct Function {
    name: &'static str,
    aliases: Vec<String>,
    arguments: &'static [Argument],
    /// The type of all arguments behind these, where there may be more.
    rest: Option<Argument>,
    answer: Answer,
    kernel: Kernel,
    signature: Signature,
}

impl Function {
    /// A function of `arguments`; one that is called `jsonb_x` is called `json_x` too.
    pub(super) fn new(
        name: &'static str,
        arguments: &'static [Argument],
        answer: Answer,
        kernel: Kernel,
    ) -> Self {
        let twin = name.replace("jsonb", "json");
        Self {
            name,
            aliases: (twin != name).then_some(twin).into_iter().collect(),
            arguments,
            rest: None,
            answer,
            kernel,
            signature: Signature::one_of(
                vec![TypeSignature::UserDefined, TypeSignature::Nullary],
                Volatility::Immutable,
            ),
        }
    }

    pub(super) fn with_rest(mut self, rest: Argument) -> Self {
        self.rest = Some(rest);
        self
    }

    pub(super) fn with_alias(mut self, alias: &str) -> Self {
        self.aliases.push(alias.to_owned());
        self
    }
}

impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Function {}

impl Hash for Function {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

/// The type that an argument comes in.
fn coerced(function: &str, argument: Argument, given: &DataType) -> Result<DataType> {
    let text = given.is_string() || given.is_null();
    Ok(match argument {
        Argument::Json if given.is_null() || *given == TYPE => TYPE,
        Argument::Json | Argument::Text if text => DataType::Utf8View,
        Argument::Step if given.is_integer() => DataType::Int64,
        Argument::Step | Argument::Texts if text => DataType::Utf8View,
        Argument::Step | Argument::Texts if matches!(given, DataType::List(_)) => {
            DataType::List(Arc::new(Field::new_list_field(DataType::Utf8View, true)))
        }
        Argument::Flag if given.is_null() || *given == DataType::Boolean => DataType::Boolean,
        Argument::Any if given.is_null() => DataType::Utf8View,
        Argument::Any => given.clone(),
        _ => return plan_err!("Invalid function call: {function} does not take {given}"),
    })
}

impl ScalarUDFImpl for Function {
    fn name(&self) -> &str {
        self.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let fixed = self.arguments.len();
        if given.len() < fixed || given.len() > fixed && self.rest.is_none() {
            return plan_err!(
                "Invalid function call: {} does not take {} arguments",
                self.name,
                given.len()
            );
        }
        let wanted = self
            .arguments
            .iter()
            .copied()
            .chain(self.rest.into_iter().cycle().take(given.len() - fixed));
        given
            .iter()
            .zip(wanted)
            .map(|(given, wanted)| coerced(self.name, wanted, given))
            .collect()
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        let list = |item| DataType::List(Arc::new(Field::new_list_field(item, true)));
        Ok(match self.answer {
            Answer::Json => TYPE,
            Answer::Text => DataType::Utf8View,
            Answer::Flag => DataType::Boolean,
            Answer::Number => DataType::Int32,
            Answer::Jsons => list(TYPE),
            Answer::Texts => list(DataType::Utf8View),
        })
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let given = &arguments.args;
        let constant = given
            .iter()
            .all(|argument| matches!(argument, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { arguments.number_rows };
        let arrays = given
            .iter()
            .map(|argument| argument.to_array(rows))
            .collect::<Result<Vec<_>>>()?;
        let answer = (self.kernel)(&arrays, rows)?;
        if constant {
            let value = ScalarValue::try_from_array(&answer, 0)?;
            return Ok(ColumnarValue::Scalar(value));
        }
        Ok(ColumnarValue::Array(answer))
    }
}

/// A column of JSON: `write` appends a row's value, or says that it is NULL.
pub(super) fn each(
    rows: usize,
    mut write: impl FnMut(usize, &mut String) -> Result<bool>,
) -> Result<ArrayRef> {
    let mut builder = LargeStringBuilder::with_capacity(rows, rows * 16);
    let mut value = String::new();
    for row in 0..rows {
        value.clear();
        let valid = write(row, &mut value)?;
        check_size(&value)?;
        builder.append_option(valid.then_some(value.as_str()));
    }
    Ok(Arc::new(builder.finish()))
}

fn check_size(value: &str) -> Result<()> {
    if value.len() > MAX_BYTES {
        return exec_err!("a JSON value would exceed the limit of {MAX_BYTES} bytes");
    }
    Ok(())
}

/// A column of texts.
pub(super) fn each_text<'a, T: AsRef<str>>(
    rows: usize,
    text: impl Fn(usize) -> Result<Option<T>> + 'a,
) -> Result<ArrayRef> {
    let mut builder = StringViewBuilder::with_capacity(rows);
    for row in 0..rows {
        builder.append_option(text(row)?);
    }
    Ok(Arc::new(builder.finish()))
}

/// The array of `texts[row]`, which is a list or the text of one; the items that are NULL are left out.
pub(super) fn texts_at(texts: &ArrayRef, row: usize) -> Result<Vec<String>> {
    match texts.data_type() {
        DataType::List(_) => {
            let items = cast(&texts.as_list::<i32>().value(row), &DataType::Utf8View)?;
            let items = items.as_string_view();
            Ok(items.iter().flatten().map(str::to_owned).collect())
        }
        _ => {
            let texts = crate::kernel::texts(texts)?;
            list_of(texts.value(row))
        }
    }
}

/// The items of PostgreSQL's text of an array.
fn list_of(text: &str) -> Result<Vec<String>> {
    let malformed = || DataFusionError::Execution(format!("malformed array literal: \"{text}\""));
    let inside = text
        .trim()
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'))
        .ok_or_else(malformed)?;
    let mut items = Vec::new();
    let mut chars = inside.trim().chars().peekable();
    if chars.peek().is_none() {
        return Ok(items);
    }
    loop {
        while chars.peek().is_some_and(|char| char.is_whitespace()) {
            chars.next();
        }
        let mut item = String::new();
        let quoted = chars.next_if_eq(&'"').is_some();
        loop {
            match chars.peek() {
                None if quoted => return Err(malformed()),
                Some('"') if quoted => {
                    chars.next();
                    break;
                }
                None | Some(',') if !quoted => break,
                Some('"' | '{' | '}') if !quoted => return Err(malformed()),
                _ => {}
            }
            match chars.next() {
                Some('\\') => item.extend(chars.next()),
                Some(char) => item.push(char),
                None => return Err(malformed()),
            }
        }
        if !quoted {
            item.truncate(item.trim_end().len());
            if item.is_empty() {
                return Err(malformed());
            }
        }
        if quoted || !item.eq_ignore_ascii_case("null") {
            items.push(item);
        }
        while chars.peek().is_some_and(|char| char.is_whitespace()) {
            chars.next();
        }
        match chars.next() {
            None => return Ok(items),
            Some(',') => {}
            Some(_) => return Err(malformed()),
        }
    }
}

/// Whether all of `arrays` have a value in `row`.
pub(super) fn all_valid(arrays: &[ArrayRef], row: usize) -> bool {
    arrays.iter().all(|array| array.is_valid(row))
}
