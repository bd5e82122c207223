// Package readme tests what README.md and the documents in docs promise: the programs
// that they print compile, the commands that they print do what they print, and what they
// name exists.
package readme
