//! An arena: values live as long as the arena does.
use std::{cell::RefCell, collections::BTreeMap, fmt, rc::Rc};

#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Index<'a, T: 'a + ?Sized>(usize, std::marker::PhantomData<&'a T>);

pub trait Visit<R = ()> {
    fn visit(&mut self, node: &Node) -> Result<R, Box<dyn std::error::Error + Send + 'static>>;
}

#[derive(Debug)]
pub enum Node {
    Leaf(i64),
    Branch { left: Rc<RefCell<Node>>, right: Option<Rc<RefCell<Node>>> },
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Node::Leaf(n @ 0..=9) => write!(f, "<{n:>4}>"),
            Node::Leaf(n) if *n < 0 => write!(f, "{:#x}", n.unsigned_abs()),
            Node::Leaf(_) => f.write_str("…"),
            Node::Branch { left, .. } => left.borrow().fmt(f),
        }
    }
}

fn main() {
    let text = r#"raw "quoted" \n"#;
    let counts: BTreeMap<char, usize> = text.chars().fold(BTreeMap::new(), |mut map, c| {
        *map.entry(c).or_insert(0) += 1;
        map
    });
    'outer: loop {
        for (_c, n) in &counts {
            if n % 2 == 0 { break 'outer; }
        }
        println!("{counts:?} {}", 1_000_000u64.wrapping_mul(0xDEAD_BEEF));
        break;
    }
}
