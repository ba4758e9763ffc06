//! Pure Storage FlashArray (REST 2.x) as a Fairlead backend
