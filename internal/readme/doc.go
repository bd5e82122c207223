// Package readme holds what README.md and docs promise, as tests: the programs
// that it prints compile, the commands that it prints do what it prints, and what
// it names is there.
package readme
