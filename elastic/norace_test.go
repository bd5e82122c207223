//go:build !race

package elastic_test

const raceEnabled = false
