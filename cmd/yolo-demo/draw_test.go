//go:build cgo && opencv

package main

import (
	"image"
	"testing"
)

// Labels of boxes near each other stand below each other, inside the picture.
func TestLabelsDoNotCoverEachOther(t *testing.T) {
	picture := image.Rect(0, 0, 200, 100)
	tests := []struct {
		r      image.Rectangle
		placed []image.Rectangle
		want   image.Rectangle
		why    string
	}{
		{image.Rect(10, 10, 60, 25), nil, image.Rect(10, 10, 60, 25), "alone: above its box"},
		{image.Rect(10, 10, 60, 25), []image.Rectangle{image.Rect(50, 5, 90, 20)}, image.Rect(10, 20, 60, 35), "below the one that is there"},
		{image.Rect(10, 10, 60, 25), []image.Rectangle{image.Rect(50, 5, 90, 20), image.Rect(0, 30, 30, 45)}, image.Rect(10, 45, 60, 60), "below the next one, too"},
		{image.Rect(180, -12, 230, 3), nil, image.Rect(150, 0, 200, 15), "over the edges: inside"},
		{image.Rect(-20, 10, 30, 25), nil, image.Rect(0, 10, 50, 25), "over the left edge"},
		{image.Rect(10, 80, 60, 95), []image.Rectangle{image.Rect(0, 70, 90, 99)}, image.Rect(10, 80, 60, 95), "no room below: where it would be"},
	}
	for _, tt := range tests {
		if got := place(tt.r, tt.placed, picture); got != tt.want {
			t.Errorf("%s: %v; want %v", tt.why, got, tt.want)
		}
	}
}
