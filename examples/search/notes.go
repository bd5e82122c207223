package main

import "time"

var lena = &Author{"Lena", "input"}

// notes are what is searched.
var notes = []Note{
	{"Hands", "Hand tracking loses the thumb behind the palm. Tracking comes back after 80 ms.", []string{"xr", "input"}, day(3), lena},
	{"Heat", "After ten minutes of tracking the headset is at 43 degrees and slows down.", []string{"xr", "power"}, day(5), lena},
	{"Edge", "With detection at the edge the headset stays at 36 degrees.", []string{"power", "edge"}, day(9), nil},
	{"Lunch", "On Friday we eat together.", nil, day(10), &Author{Name: "Tom"}},
}

func day(n int) time.Time { return time.Date(2026, time.November, n, 9, 0, 0, 0, time.UTC) }
