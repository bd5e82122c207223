package accuracy

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/bungee-xr/bungee/cmd/yolo-demo/internal/head"
)

func box(x float32, score float32, class int) head.Box {
	return head.Box{X: x, Y: 10, W: 100, H: 100, Score: score, Class: class}
}

type frames = [][]head.Box

func TestJudge(t *testing.T) {
	nan := math.NaN()
	two := []head.Box{box(0, 0.9, 1), box(200, 0.8, 1)}
	for _, tt := range []struct {
		name, why    string
		truth, found frames
		want         Score
	}{
		{"the same", "nothing is lost", frames{two}, frames{two}, Score{1, 1, 1}},
		{"nothing there", "no share of nothing", frames{{}}, frames{{}}, Score{nan, nan, nan}},
		{"invented", "there is nothing to keep, and all is wrong", frames{{}}, frames{two}, Score{nan, 0, nan}},
		{"none found", "", frames{two}, frames{{}}, Score{0, 0, 0}},
		{"a picture is missing", "late ones have none", frames{two, two}, frames{two}, Score{0.5, 0.5, 0.5}},
		{"one of two", "", frames{two}, frames{two[:1]}, Score{0.5, 0.5, 0.5}},
		{"one moved a little", "over half overlaps", frames{two}, frames{{box(20, 0.9, 1), two[1]}}, Score{1, 1, 1}},
		{"one moved far", "it is another object", frames{two}, frames{{box(50, 0.9, 1), two[1]}}, Score{0.5, 1.0 / 3, 0.25}},
		{"other class", "a dog is no cat", frames{two[:1]}, frames{{box(0, 0.9, 2)}}, Score{0, 0, 0}},
		{"twice", "one object is found once; the doubt comes after", frames{two[:1]}, frames{{box(0, 0.9, 1), box(5, 0.5, 1)}}, Score{1, 0.5, 1}},
		{"wrong first", "precision 1/2 at recall 1", frames{two[:1]}, frames{{box(0, 0.5, 1), box(300, 0.9, 1)}}, Score{1, 0.5, 0.5}},
		{"two classes", "the mean over classes, not boxes", frames{{box(0, 0.9, 1), box(200, 0.9, 2), box(400, 0.9, 2)}},
			frames{{box(0, 0.9, 1)}}, Score{1.0 / 3, 1.0 / 3, 0.5}},
	} {
		got := Judge(tt.truth, tt.found)
		for _, x := range [][2]float64{{got.Kept, tt.want.Kept}, {got.Agreement, tt.want.Agreement}, {got.MAP, tt.want.MAP}} {
			if !(math.Abs(x[0]-x[1]) < 1e-9) && !(math.IsNaN(x[0]) && math.IsNaN(x[1])) {
				t.Errorf("%s: %+v, want %+v: %s", tt.name, got, tt.want, tt.why)
				break
			}
		}
	}
}

// Whatever is found: shares are shares, agreement is no more than what is kept, and what is found does not depend on its order.
func TestJudgeAnything(t *testing.T) {
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 1))
	some := func() (all []head.Box) {
		for range rnd.IntN(6) {
			all = append(all, box(float32(rnd.IntN(300)), rnd.Float32(), rnd.IntN(3)))
		}
		return all
	}
	for range 500 {
		truth, found := frames{some(), some()}, frames{some(), some()}
		s := Judge(truth, found)
		for _, x := range []float64{s.Kept, s.Agreement, s.MAP} {
			if x < 0 || x > 1+1e-9 {
				t.Fatalf("seed %d: %+v of %v in %v", seed, s, found, truth)
			}
		}
		if s.Agreement > s.Kept+1e-9 {
			t.Fatalf("seed %d: agreement over what is kept: %+v", seed, s)
		}
		rnd.Shuffle(len(found[0]), func(i, j int) { found[0][i], found[0][j] = found[0][j], found[0][i] })
		if again := Judge(truth, found); again.Kept != s.Kept && !math.IsNaN(s.Kept) {
			t.Fatalf("seed %d: %+v, and in another order %+v", seed, s, again)
		}
	}
}
