// Package deps holds the rules of who imports whom, as tests. The table of levels in
// docs/architecture.md says what a package may import; the UE's side imports neither a
// Wasm runtime nor OpenCV, not even in its tests. The package holds the budgets, too: how
// many packages an edge host's program links, how large a folder is, how much of the code
// is tests and comments. With -v its tests print the figures.
package deps
