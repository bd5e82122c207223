//go:build race

package check

const defaultSeeds = 200
