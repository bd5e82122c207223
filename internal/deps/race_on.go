//go:build race

package deps

const raceDetector = true
