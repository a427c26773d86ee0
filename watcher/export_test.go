package watcher

// Sum lets tests reach the parser of companions.
func (c Companion) Sum(text []byte, base string) ([]byte, error) { return c.sum(text, base) }
