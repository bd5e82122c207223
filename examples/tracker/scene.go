package main

import "math"

// things is how many walk about in the scene.
const things = 4

// detect returns what a detector would find in frame f, in an order that says
// nothing. Thing 2 is hidden at times.
func detect(f int) (seen []Detection) {
	for k := range things {
		if i := (k + f) % things; i != 2 || f%20 >= 4 {
			seen = append(seen, Detection{where(i, f), "person", 0.9})
		}
	}
	return seen
}

// where returns the box of thing i in frame f: each walks up and down its lane.
func where(i, f int) Box {
	x := float32(math.Round(300 + 250*math.Sin(float64(f)/40+float64(i))))
	y := float32(90 * i)
	return Box{x, y, x + 60, y + 80}
}
