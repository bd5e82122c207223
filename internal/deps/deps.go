// Package deps holds the rules of who imports whom, as a test. A package has a
// level, and imports only packages of lower ones; the UE's side imports neither a
// Wasm runtime nor OpenCV, not even in its tests.
package deps
