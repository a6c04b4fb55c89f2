//! What keeps a failing service from dragging others down: breakers, budgets of repetitions, ejection, choice by load.

mod breaker;
mod choice;
mod ejection;
mod retries;
