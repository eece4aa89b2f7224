//! Python's pickle, as far as plain values need it, turned into JSON text.
//!
//! A pickle is a program for a small machine with a stack and a memory, and in Python it may call anything. This machine has
//! the instructions that `pickle.dumps` writes for dict, list, tuple, str, int, float, bool, None and bytes in protocols 2 to
//! 5, and no other: there is nothing to call. Values that a program uses several times are kept once until they are written
//! out, so that a few bytes cannot become gigabytes in memory; the text that comes out is bounded in length and depth, which
//! also ends values that contain themselves. Nothing recurses deeper than that bound, dropping included.
//!
//! `serde-pickle`, which does more, ends the process with a stack overflow when a value nests deep.

use std::collections::HashMap;

use super::json::{MAX_DEPTH, TOO_DEEP, Unreadable, Writer};

type Outcome<T> = Result<T, Unreadable>;

/// A value, named by its place among all values of the program.
pub(super) type Id = usize;

#[derive(Clone, Debug)]
enum Value<'p> {
    None,
    Bool(bool),
    Integer(i128),
    Float(f64),
    Text(&'p str),
    Bytes,
    List(Vec<Id>),
    Tuple(Vec<Id>),
    Dict(Vec<(Id, Id)>),
}

/// What a pickle holds.
#[derive(Debug)]
pub(super) struct Pickle<'p> {
    values: Vec<Value<'p>>,
    root: Id,
}

const fn malformed(why: &'static str) -> Unreadable {
    Unreadable::Malformed(why)
}

/// How every pickle begins that we read.
pub(super) const FIRST_BYTE: u8 = 0x80;

impl<'p> Pickle<'p> {
    /// Runs the program.
    pub(super) fn read(program: &'p [u8]) -> Outcome<Self> {
        let mut machine = Machine {
            program,
            values: Vec::new(),
            stack: Vec::new(),
            marks: Vec::new(),
            memory: HashMap::new(),
        };
        let root = machine.run()?;
        Ok(Self {
            values: machine.values,
            root,
        })
    }

    /// A field of the outermost value, if that is a dict.
    pub(super) fn field(&self, name: &str) -> Option<Id> {
        let Some(Value::Dict(fields)) = self.values.get(self.root) else {
            return None;
        };
        let is_named = |key: Id| matches!(self.values.get(key), Some(Value::Text(text)) if *text == name);
        fields.iter().rev().find(|(key, _)| is_named(*key)).map(|(_, id)| *id)
    }

    pub(super) fn is_tuple(&self, id: Id) -> bool {
        matches!(self.values.get(id), Some(Value::Tuple(_)))
    }

    /// The whole of it as JSON.
    pub(super) fn to_json(&self, max_bytes: usize) -> Outcome<String> {
        let mut writer = Writer::up_to(max_bytes);
        self.write(self.root, &mut writer, 0)?;
        Ok(writer.finish())
    }

    fn write(&self, id: Id, writer: &mut Writer, depth: usize) -> Outcome<()> {
        if depth > MAX_DEPTH {
            return Err(TOO_DEEP);
        }
        match self.values.get(id) {
            None => Err(malformed("a value is missing")),
            Some(Value::None) => writer.push("null"),
            Some(Value::Bool(value)) => writer.push(if *value { "true" } else { "false" }),
            Some(Value::Integer(number)) => writer.integer(*number),
            Some(Value::Float(number)) => writer.float(*number),
            Some(Value::Text(text)) => writer.text(text),
            Some(Value::Bytes) => Err(Unreadable::Binary),
            Some(Value::List(items) | Value::Tuple(items)) => {
                writer.push("[")?;
                for (place, item) in items.iter().enumerate() {
                    if place > 0 {
                        writer.push(",")?;
                    }
                    self.write(*item, writer, depth + 1)?;
                }
                writer.push("]")
            }
            Some(Value::Dict(fields)) => {
                writer.push("{")?;
                for (place, (key, value)) in fields.iter().enumerate() {
                    if place > 0 {
                        writer.push(",")?;
                    }
                    self.write_key(*key, writer)?;
                    writer.push(":")?;
                    self.write(*value, writer, depth + 1)?;
                }
                writer.push("}")
            }
        }
    }

    /// Writes a key as Python's own JSON does, which is what clients of a Python server were sent.
    fn write_key(&self, id: Id, writer: &mut Writer) -> Outcome<()> {
        match self.values.get(id) {
            Some(Value::Text(text)) => writer.text(text),
            Some(Value::None | Value::Bool(_) | Value::Integer(_)) => {
                writer.push("\"")?;
                self.write(id, writer, 0)?;
                writer.push("\"")
            }
            Some(Value::Float(_) | Value::Bytes | Value::List(_) | Value::Tuple(_) | Value::Dict(_)) | None => {
                Err(malformed("a key is no text"))
            }
        }
    }
}

struct Machine<'p> {
    /// What is still to be run.
    program: &'p [u8],
    values: Vec<Value<'p>>,
    stack: Vec<Id>,
    /// How high the stack was at each mark that is still open.
    marks: Vec<usize>,
    memory: HashMap<u32, Id>,
}

impl<'p> Machine<'p> {
    fn run(&mut self) -> Outcome<Id> {
        if !matches!((self.byte()?, self.byte()?), (FIRST_BYTE, 2..=5)) {
            return Err(malformed("no pickle of protocol 2 to 5"));
        }
        loop {
            match self.byte()? {
                b'.' => {
                    let root = self.pop()?;
                    let is_over = self.stack.is_empty() && self.program.is_empty();
                    return if is_over {
                        Ok(root)
                    } else {
                        Err(malformed("a pickle with a rest"))
                    };
                }
                instruction => self.step(instruction)?,
            }
        }
    }

    fn step(&mut self, instruction: u8) -> Outcome<()> {
        match instruction {
            // FRAME: how much follows in one piece
            0x95 => self.take(8).map(drop),
            b'(' => {
                self.marks.push(self.stack.len());
                Ok(())
            }
            b'N' | 0x88 | 0x89 | b']' | b')' | b'}' => {
                self.constant(instruction);
                Ok(())
            }
            b'K' | b'M' | b'J' | 0x8a | b'G' => self.number(instruction),
            0x8c | b'X' | 0x8d => {
                let length = self.length(instruction)?;
                let text = std::str::from_utf8(self.take(length)?).or(Err(malformed("a text is not UTF-8")))?;
                self.push(Value::Text(text));
                Ok(())
            }
            b'C' | b'B' | 0x8e => {
                let length = self.length(instruction)?;
                self.take(length)?;
                self.push(Value::Bytes);
                Ok(())
            }
            b'q' | b'r' | 0x94 | b'h' | b'j' => self.remember(instruction),
            b'a' | b'e' | 0x85..=0x87 | b't' | b's' | b'u' => self.build(instruction),
            _ => Err(malformed("a pickle of something that is no plain value")),
        }
    }

    fn constant(&mut self, instruction: u8) {
        self.push(match instruction {
            0x88 => Value::Bool(true),
            0x89 => Value::Bool(false),
            b']' => Value::List(Vec::new()),
            b')' => Value::Tuple(Vec::new()),
            b'}' => Value::Dict(Vec::new()),
            _ => Value::None,
        });
    }

    fn number(&mut self, instruction: u8) -> Outcome<()> {
        let number = match instruction {
            b'K' => i128::from(self.byte()?),
            b'M' => i128::from(u16::from_le_bytes(self.array()?)),
            b'J' => i128::from(i32::from_le_bytes(self.array()?)),
            b'G' => return self.float(),
            _ => self.long()?,
        };
        self.push(Value::Integer(number));
        Ok(())
    }

    fn float(&mut self) -> Outcome<()> {
        let number = f64::from_be_bytes(self.array()?);
        self.push(Value::Float(number));
        Ok(())
    }

    /// LONG1, as far as other readers of JSON can be expected to take the number.
    fn long(&mut self) -> Outcome<i128> {
        let length = usize::from(self.byte()?);
        let digits = self.take(length)?;
        let is_negative = digits.last().is_some_and(|digit| digit & 0x80 != 0);
        let mut whole = [if is_negative { 0xff } else { 0 }; 16];
        for (place, digit) in whole.iter_mut().zip(digits) {
            *place = *digit;
        }
        let number = i128::from_le_bytes(whole);
        let is_small = length <= 16 && (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(&number);
        if is_small {
            Ok(number)
        } else {
            Err(malformed("a number of more than 64 bits"))
        }
    }

    /// Puts into the memory, or gets from it.
    fn remember(&mut self, instruction: u8) -> Outcome<()> {
        let place = match instruction {
            b'q' | b'h' => u32::from(self.byte()?),
            b'r' | b'j' => u32::from_le_bytes(self.array()?),
            // MEMOIZE: the next free place
            _ => u32::try_from(self.memory.len()).unwrap_or(u32::MAX),
        };
        if matches!(instruction, b'h' | b'j') {
            let id = self.memory.get(&place).copied();
            self.stack.push(id.ok_or(malformed("a value is missing"))?);
        } else {
            let top = self.top()?;
            self.memory.insert(place, top);
        }
        Ok(())
    }

    fn build(&mut self, instruction: u8) -> Outcome<()> {
        match instruction {
            b'a' => {
                let item = self.pop()?;
                self.append(vec![item])
            }
            b'e' => {
                let items = self.since_mark()?;
                self.append(items)
            }
            0x85..=0x87 => {
                let mut items = Vec::new();
                for _ in 0x84..instruction {
                    items.push(self.pop()?);
                }
                items.reverse();
                self.push(Value::Tuple(items));
                Ok(())
            }
            b't' => {
                let items = self.since_mark()?;
                self.push(Value::Tuple(items));
                Ok(())
            }
            b's' => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.set(&[key, value])
            }
            _ => {
                let items = self.since_mark()?;
                self.set(&items)
            }
        }
    }

    fn append(&mut self, mut items: Vec<Id>) -> Outcome<()> {
        let list = self.top()?;
        match self.values.get_mut(list) {
            Some(Value::List(list)) => {
                list.append(&mut items);
                Ok(())
            }
            _ => Err(malformed("something is appended to what is no list")),
        }
    }

    fn set(&mut self, items: &[Id]) -> Outcome<()> {
        let dict = self.top()?;
        let (pairs, []) = items.as_chunks() else {
            return Err(malformed("a key without a value"));
        };
        match self.values.get_mut(dict) {
            Some(Value::Dict(fields)) => {
                fields.extend(pairs.iter().map(|[key, value]| (*key, *value)));
                Ok(())
            }
            _ => Err(malformed("a field is set in what is no dict")),
        }
    }

    fn push(&mut self, value: Value<'p>) {
        self.stack.push(self.values.len());
        self.values.push(value);
    }

    /// How low the stack may become before the last mark is closed.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or_default()
    }

    fn top(&self) -> Outcome<Id> {
        let top = self.stack.last().filter(|_| self.stack.len() > self.floor());
        top.copied().ok_or(malformed("the stack is empty"))
    }

    fn pop(&mut self) -> Outcome<Id> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    fn since_mark(&mut self) -> Outcome<Vec<Id>> {
        let mark = self.marks.pop().ok_or(malformed("a mark is missing"))?;
        Ok(self.stack.split_off(mark.min(self.stack.len())))
    }

    fn length(&mut self, instruction: u8) -> Outcome<usize> {
        let length = match instruction {
            0x8c | b'C' => u64::from(self.byte()?),
            b'X' | b'B' => u64::from(u32::from_le_bytes(self.array()?)),
            _ => u64::from_le_bytes(self.array()?),
        };
        usize::try_from(length).or(Err(CUT_OFF))
    }

    fn byte(&mut self) -> Outcome<u8> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    fn array<const N: usize>(&mut self) -> Outcome<[u8; N]> {
        let (array, rest) = self.program.split_first_chunk().ok_or(CUT_OFF)?;
        self.program = rest;
        Ok(*array)
    }

    fn take(&mut self, length: usize) -> Outcome<&'p [u8]> {
        let (taken, rest) = self.program.split_at_checked(length).ok_or(CUT_OFF)?;
        self.program = rest;
        Ok(taken)
    }
}

const CUT_OFF: Unreadable = malformed("it is cut off");

#[cfg(test)]
mod tests;
