//! Where rows go to.
