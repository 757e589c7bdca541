//! Pages of lists.

use super::parameters::Parameters;
use super::wire::{List, Number};
use crate::store::sql::recorder::Cut;

/// Rows of a page where the caller doesn't say.
const DEFAULT: u64 = 10;
const MOST: u64 = 1000;

/// How the documents' example of an endpoint writes the page's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Numbers,
    Texts,
}

/// The page that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Paging {
    current: u64,
    per: u64,
    form: Form,
}

impl Paging {
    pub(super) fn of(parameters: &Parameters, form: Form) -> Self {
        let number = |name: &str| {
            let value = parameters.int(name).and_then(|value| u64::try_from(value).ok());
            value.filter(|value| *value > 0)
        };
        Self {
            current: number("cur").unwrap_or(1),
            per: number("per").unwrap_or(DEFAULT).min(MOST),
            form,
        }
    }

    pub(super) fn cut(self) -> Cut {
        // No table has so many rows; databases count in 64 bits with a sign.
        let most = i64::MAX as u64 - MOST;
        Cut {
            skip: (self.current - 1).saturating_mul(self.per).min(most),
            take: self.per,
        }
    }

    /// A page of rows that are all at hand.
    pub(super) fn of_all<T>(self, rows: Vec<T>) -> (Vec<T>, u64) {
        let total = rows.len() as u64;
        let cut = self.cut();
        let skip = usize::try_from(cut.skip).unwrap_or(usize::MAX);
        let rows = rows.into_iter().skip(skip).take(cut.take as usize);
        (rows.collect(), total)
    }

    /// The list that shows these rows of so many.
    pub(super) fn list<T>(self, total: u64, data: Vec<T>) -> List<T> {
        let number = |value: u64| match self.form {
            Form::Numbers => Number::Plain(i64::try_from(value).unwrap_or(i64::MAX)),
            Form::Texts => Number::Text(value.to_string()),
        };
        List {
            total_num: total,
            max_page: total.div_ceil(self.per),
            cur_page: number(self.current),
            per_page: number(self.per),
            storage_addr: None,
            data,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Form, Paging};
    use crate::api::recorder::parameters::Parameters;

    fn of(query: &str) -> Paging {
        let uri = format!("/api/v1/list_school?{query}").parse().unwrap();
        Paging::of(&Parameters::of("list_school", &uri), Form::Numbers)
    }

    #[test]
    fn what_makes_no_sense_is_the_default() {
        for (query, current, per) in [
            ("", 1, 10),
            ("cur=3&per=2", 3, 2),
            ("cur=-1&per=0", 1, 10),
            ("cur=x&per=x", 1, 10),
            ("per=1001", 1, 1000),
            (
                "cur=9223372036854775807&per=1000",
                9_223_372_036_854_775_807,
                1000,
            ),
        ] {
            let paging = of(query);
            assert_eq!((paging.current, paging.per), (current, per), "{query}");
        }
    }

    #[test]
    fn pages_of_what_is_at_hand() {
        let rows = |query| of(query).of_all(vec![1, 2, 3, 4, 5]);
        assert_eq!(rows("per=2&cur=1"), (vec![1, 2], 5));
        assert_eq!(rows("per=2&cur=3"), (vec![5], 5));
        assert_eq!(rows("per=2&cur=4"), (vec![], 5));
        assert_eq!(rows("cur=9223372036854775807&per=1000"), (vec![], 5));
        assert_eq!(of("per=2").list(5, vec![1]).max_page, 3);
        assert_eq!(of("per=2").list::<u8>(0, vec![]).max_page, 0);
    }
}
