// Package race tells tests whether the race detector is on: it makes programs some ten times slower, and takes memory of its own.
package race
