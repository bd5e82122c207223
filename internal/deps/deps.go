// Package deps holds the rules of who imports whom, as a test. A package has a
// level, and imports only packages of lower ones; the UE's side imports neither a
// Wasm runtime nor OpenCV, not even in its tests. It holds the budgets, too: how much an
// edge host's program links, how large a folder is, how much of the code is tests and
// comments. Its tests print the figures with -v.
package deps
