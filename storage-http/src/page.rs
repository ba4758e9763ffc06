//! Reads lists that come in pages, each naming the next by an opaque token.

use std::future::Future;

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// What the page holds.
    pub items: Vec<T>,
    /// The token of the next page, `None` on the last one.
    pub next: Option<String>,
}

/// Reads all pages. `fetch` gets the token of the page to read, `None` for the first. At most
/// `max_pages` are read; a list that goes on, or that comes back to a token it had given before,
/// ends with `too_long`: an endless list must not become an endless loop.
///
/// # Errors
/// Those of `fetch`, and `too_long`.
pub async fn collect_pages<T, E, F, A>(
    max_pages: usize,
    too_long: impl FnOnce() -> E,
    mut fetch: F,
) -> Result<Vec<T>, E>
where
    F: FnMut(Option<String>) -> A,
    A: Future<Output = Result<Page<T>, E>>,
{
    let mut all = Vec::new();
    let mut token: Option<String> = None;
    for _page in 0..max_pages {
        let page = fetch(token.clone()).await?;
        all.extend(page.items);
        match page.next {
            None => return Ok(all),
            Some(next) if token.as_ref() == Some(&next) => break,
            Some(next) => token = Some(next),
        }
    }
    Err(too_long())
}

#[cfg(test)]
mod tests {
    use super::{Page, collect_pages};

    async fn pages(of: usize, max: usize) -> Result<Vec<usize>, &'static str> {
        let fetch = async |token: Option<String>| {
            let page: usize = token.map_or(0, |token| token.parse().unwrap());
            let next = (page + 1 < of).then(|| (page + 1).to_string());
            Ok(Page {
                items: vec![page],
                next,
            })
        };
        collect_pages(max, || "too long", fetch).await
    }

    #[tokio::test]
    async fn every_page_is_read_once_and_in_order() {
        assert_eq!(pages(3, 10).await.unwrap(), [0, 1, 2]);
        assert_eq!(pages(3, 3).await.unwrap(), [0, 1, 2]);
    }

    #[tokio::test]
    async fn endless_lists_end() {
        assert_eq!(pages(4, 3).await.unwrap_err(), "too long");
        let same = async |_token: Option<String>| {
            Ok(Page {
                items: vec![0_u8],
                next: Some("x".to_owned()),
            })
        };
        assert_eq!(
            collect_pages(1000, || "loop", same).await.unwrap_err(),
            "loop"
        );
    }
}
