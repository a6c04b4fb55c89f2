//! Runs every fuzz target over its corpus and over mutations of it, which are the same in every run.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "fuzz/targets/all.rs"]
mod targets;

use std::fs;
use std::path::Path;

use fastrand::Rng;

/// Mutations of each target; more of those that cost little.
fn rounds(target: &str) -> usize {
    if matches!(target, "compile" | "middleware" | "basic_auth") { 300 } else { 3_000 }
}

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(target);
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|it| it.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{target} has no corpus");
    files.into_iter().map(|file| fs::read(file).unwrap()).collect()
}

/// One small change.
fn mutate(bytes: &mut Vec<u8>, others: &[Vec<u8>], random: &mut Rng) {
    let at = random.usize(..=bytes.len());
    let end = random.usize(at..=bytes.len().min(at + 8));
    match random.u8(..6) {
        0 => bytes.insert(at, random.u8(..)),
        1 => drop(bytes.drain(at..end)),
        2 if at < bytes.len() => bytes[at] ^= 1 << random.u8(..8),
        3 => drop(bytes.splice(at..at, b"`\"'(){}[],:.%\\|!&=\n0".choose(random))),
        4 => {
            let piece = bytes[at..end].repeat(random.usize(1..5));
            drop(bytes.splice(at..at, piece));
        }
        _ => {
            let other = &others[random.usize(..others.len())];
            let from = random.usize(..=other.len());
            bytes.truncate(at);
            bytes.extend_from_slice(&other[from..]);
        }
    }
}

/// Choosing from bytes.
trait Choose {
    fn choose(&self, random: &mut Rng) -> Option<u8>;
}

impl Choose for [u8] {
    fn choose(&self, random: &mut Rng) -> Option<u8> {
        self.get(random.usize(..self.len())).copied()
    }
}

#[test]
fn every_target_stands_its_corpus_and_mutations_of_it() {
    let threads: Vec<_> = targets::TARGETS
        .iter()
        .map(|(name, run)| {
            // Parsers that recurse get the stack of a worker, not that of the main thread.
            std::thread::Builder::new().name((*name).to_owned()).spawn(move || replay(name, *run))
        })
        .collect();
    for thread in threads {
        thread.unwrap().join().unwrap();
    }
}

fn replay(name: &str, run: fn(&[u8])) {
    let inputs = corpus(name);
    for input in &inputs {
        run(input);
    }
    let mut random = Rng::with_seed(0x0070_6f72_7463_756c);
    for round in 0..rounds(name) {
        let mut input = inputs[round % inputs.len()].clone();
        for _ in 0..random.usize(1..6) {
            mutate(&mut input, &inputs, &mut random);
        }
        let shown = input.escape_ascii().to_string();
        let outcome = std::panic::catch_unwind(|| run(&input));
        assert!(outcome.is_ok(), "{name} fails with {shown}");
    }
}
