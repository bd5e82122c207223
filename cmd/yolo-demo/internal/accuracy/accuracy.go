// Package accuracy says what detections are worth beside others of the same pictures: those of pictures of less quality beside
// those of full quality. Nobody has looked at the pictures; what full quality finds counts as true.
//
//	s := accuracy.Judge(full, less) // the boxes of each picture, in both in the same order
//	fmt.Println(s.Kept)             // 0.93: of a hundred objects, ninety-three are still found
package accuracy

import (
	"cmp"
	"math"
	"slices"

	"github.com/bungee-xr/bungee/cmd/yolo-demo/internal/head"
)

// least is the overlap, intersection over union, from which on two boxes of a class are of one object: PASCAL VOC's.
const least = 0.5

// A Score is what detections are worth. All are shares, 0 to 1, and NaN where nothing was there to be found.
type Score struct {
	// Kept is the share of the true boxes that are found.
	Kept float64
	// Agreement is the share of what is true or was found that is both.
	Agreement float64
	// MAP is the mean over the true classes of the average precision: the area below the curve of precision over recall, where
	// precision is the best at that recall or more. A detector that tells no box below some confidence cannot
	// have more than its recall.
	MAP float64
}

// Judge compares the boxes found in some pictures with the true ones. A picture that is missing at the end of found has no boxes.
func Judge(truth, found [][]head.Box) Score {
	m := matching{found: map[int][]match{}, truth: map[int]int{}}
	for i, boxes := range truth {
		var got []head.Box
		if i < len(found) {
			got = found[i]
		}
		m.add(boxes, got)
	}
	return m.score()
}

// A match is a box that was found.
type match struct {
	confidence float32
	right      bool // it is a true one, which no other box is
}

// A matching is what was found, by class.
type matching struct {
	found map[int][]match
	truth map[int]int // how many there are
}

// add adds a picture. The most confident box takes the true one that it overlaps most.
func (m *matching) add(truth, found []head.Box) {
	for i := range truth {
		m.truth[truth[i].Class]++
	}
	taken := make([]bool, len(truth))
	for _, b := range sorted(found, func(b head.Box) float32 { return b.Score }) {
		best, at := float32(least), -1
		for i := range truth {
			if o := overlap(&truth[i], &b); !taken[i] && truth[i].Class == b.Class && o >= best {
				best, at = o, i
			}
		}
		if at >= 0 {
			taken[at] = true
		}
		m.found[b.Class] = append(m.found[b.Class], match{b.Score, at >= 0})
	}
}

func (m *matching) score() Score {
	var right, found, truth, sum float64
	for class, n := range m.truth {
		truth += float64(n)
		sum += average(m.found[class], n)
	}
	for _, all := range m.found {
		found += float64(len(all))
		for _, x := range all {
			if x.right {
				right++
			}
		}
	}
	return Score{Kept: ratio(right, truth), Agreement: ratio(right, truth+found-right), MAP: ratio(sum, float64(len(m.truth)))}
}

// average returns the average precision of what was found of a class that is there n times.
func average(found []match, n int) float64 {
	precision := make([]float64, 0, len(found)) // at each recall, k of n
	right := 0.0
	for i, x := range sorted(found, func(x match) float32 { return x.confidence }) {
		if x.right {
			right++
			precision = append(precision, right/float64(i+1))
		}
	}
	area, best := 0.0, 0.0
	for _, p := range slices.Backward(precision) {
		best = max(best, p)
		area += best / float64(n)
	}
	return area
}

// sorted returns a copy of all, the most confident first.
func sorted[T any](all []T, confidence func(T) float32) []T {
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b T) int { return cmp.Compare(confidence(b), confidence(a)) })
	return all
}

func overlap(a, b *head.Box) float32 {
	w := min(a.X+a.W, b.X+b.W) - max(a.X, b.X)
	h := min(a.Y+a.H, b.Y+b.H) - max(a.Y, b.Y)
	if w <= 0 || h <= 0 {
		return 0
	}
	return w * h / (a.W*a.H + b.W*b.H - w*h)
}

func ratio(a, b float64) float64 {
	if b == 0 {
		return math.NaN()
	}
	return a / b
}
