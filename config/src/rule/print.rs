//! Rule to rule text; `parse(print(rule)) == rule`.
