// Runningmap keeps a map of what is free and what is occupied, from the points that
// a depth sensor sees on its way through a room. Its endpoint returns one value for
// each message, and has much state.
//
//	go run ./examples/runningmap
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"math"

	"github.com/bungee-xr/bungee/elastic"
)

//go:generate go tool offloadgen

const (
	side  = 64   // cells
	metre = 4    // cells
	sure  = 10   // more evidence than this does not count
	wall  = 6.05 // metres from the middle of the room
)

// A Scan is what the sensor saw from one pose.
type Scan struct {
	At     [2]float64   // metres
	Ahead  [2]float64   // direction, of length 1
	Points [][2]float64 // metres ahead and to the left of the sensor
}

// Counts sums a map up.
type Counts struct{ Changed, Known, Occupied int }

// grid is a map around the origin. A cell has evidence: above 0 it is occupied,
// below 0 free, at 0 unknown.
//
//offload:endpoint deadline=100ms idempotent
type grid struct{ Cells []int8 }

// Handle takes in a scan: each point is occupied, and what is before it free.
func (g *grid) Handle(_ context.Context, s Scan) (Counts, error) {
	if n := hypot(s.Ahead[0], s.Ahead[1]); !(n > 0.99 && n < 1.01) {
		return Counts{}, errors.New("the direction of a scan must be of length 1")
	}
	if len(g.Cells) != side*side {
		g.Cells = make([]int8, side*side)
	}
	var n Counts
	for _, p := range s.Points {
		dx := float64(p[0]*s.Ahead[0]) - float64(p[1]*s.Ahead[1])
		dy := float64(p[0]*s.Ahead[1]) + float64(p[1]*s.Ahead[0])
		steps := min(hypot(dx, dy)*metre, side)
		for i := 0.0; i < steps-1; i++ {
			n.Changed += g.see(s.At[0]+float64(dx*i/steps), s.At[1]+float64(dy*i/steps), -1)
		}
		n.Changed += g.see(s.At[0]+dx, s.At[1]+dy, 3)
	}
	for _, c := range g.Cells {
		if c != 0 {
			n.Known++
		}
		if c > 0 {
			n.Occupied++
		}
	}
	return n, nil
}

// see adds evidence to the cell at x, y. It returns 1 when that says something
// else now, and 0 when it does not or is not on the map.
func (g *grid) see(x, y float64, evidence int8) int {
	i, j := math.Floor(x*metre)+side/2, math.Floor(y*metre)+side/2
	if !(i >= 0 && i < side && j >= 0 && j < side) {
		return 0
	}
	c := &g.Cells[int(j)*side+int(i)]
	before := *c
	*c = max(-sure, min(sure, before+evidence))
	if cmp.Compare(*c, 0) == cmp.Compare(before, 0) {
		return 0
	}
	return 1
}

// hypot replaces math.Hypot, whose last bit differs between machines. The conversions
// keep a machine from fusing products with sums, which would differ, too.
func hypot(x, y float64) float64 { return math.Sqrt(float64(x*x) + float64(y*y)) }

func main() {
	scans := flag.Int("scans", 60, "scans to take")
	flag.Parse()
	if err := run(context.Background(), *scans); err != nil {
		log.Fatal("runningmap: ", err)
	}
}

func run(ctx context.Context, scans int) error {
	ch, err := OpenGrid(elastic.Config{})
	if err != nil {
		return err
	}
	defer ch.Close()
	for i := range scans {
		if err := ch.Send(ctx, scan(i)); err != nil {
			return err
		}
		r, err := ch.Recv(ctx)
		if err := errors.Join(err, r.Err); err != nil {
			return fmt.Errorf("scan %d: %w", i, err)
		}
		if i%10 == 9 {
			fmt.Printf("scan %3d: %4d cells known, %3d occupied, %3d changed\n", i+1, r.Value.Known, r.Value.Occupied, r.Value.Changed)
		}
	}
	return nil
}

// scan returns what the sensor sees at step i of its way around a square room: the
// walls, up to 45 degrees to each side.
func scan(i int) Scan {
	y, x := math.Sincos(float64(i) / 10)
	s := Scan{At: [2]float64{3 * x, 3 * y}, Ahead: [2]float64{x, y}}
	for ray := -1.0; ray <= 1; ray += 0.05 {
		dx, dy := x-ray*y, y+ray*x
		far := min((math.Copysign(wall, dx)-s.At[0])/dx, (math.Copysign(wall, dy)-s.At[1])/dy)
		s.Points = append(s.Points, [2]float64{far, far * ray})
	}
	return s
}
