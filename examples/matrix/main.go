// Matrix multiplies square matrices of growing size, here and on an edge host, and says from which size on the way there pays.
//
//	go run ./examples/matrix                        # here
//	go run ./examples/matrix -edge 127.0.0.1:4433   # both
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"time"

	"github.com/bungee-xr/bungee/examples/internal/start"
	"github.com/bungee-xr/bungee/offload"
)

//go:generate go tool offloadgen

// A Matrix has its numbers row by row.
type Matrix struct {
	Rows, Columns int
	Numbers       []float64
}

var errShape = errors.New("the shapes of the matrices do not fit")

// multiply returns a times b. Each sum is rounded as a module's is, so that both have the same bits.
//
//offload:func deadline=10s idempotent
func multiply(_ context.Context, a, b Matrix) (Matrix, error) {
	if a.Columns != b.Rows || !a.whole() || !b.whole() {
		return Matrix{}, fmt.Errorf("%w: %dx%d with %d numbers times %dx%d with %d", errShape, a.Rows, a.Columns, len(a.Numbers), b.Rows, b.Columns, len(b.Numbers))
	}
	c := Matrix{a.Rows, b.Columns, make([]float64, a.Rows*b.Columns)}
	for i := range a.Rows {
		row := c.Numbers[i*c.Columns:][:c.Columns]
		for k := range a.Columns {
			x := a.Numbers[i*a.Columns+k]
			for j, y := range b.Numbers[k*b.Columns:][:b.Columns] {
				row[j] += float64(x * y) // the conversion keeps processors from fusing it with the sum
			}
		}
	}
	return c, nil
}

// whole says whether m has the numbers that its shape needs.
func (m Matrix) whole() bool {
	const most = 1 << 12 // rows, and columns
	return m.Rows >= 0 && m.Columns >= 0 && m.Rows <= most && m.Columns <= most && len(m.Numbers) == m.Rows*m.Columns
}

func main() {
	flags := start.Register()
	flag.Parse()
	ctx := context.Background()
	h, err := flags.Handler(ctx, &multiplyFunc.Desc)
	if err != nil {
		log.Fatal("matrix: ", err)
	}
	defer h.Close()
	if err := compare(ctx, os.Stdout, 32, 64, 128, 256, 512); err != nil {
		log.Fatal("matrix: ", err)
	}
}

// compare multiplies matrices of some sizes both ways, and writes how long that took.
func compare(ctx context.Context, w io.Writer, sizes ...int) error {
	for _, n := range sizes {
		a, b := numbered(n), numbered(n)
		begin := time.Now()
		want, err := multiply(ctx, a, b)
		if err != nil {
			return err
		}
		here := time.Since(begin)
		var t offload.Trace
		begin = time.Now()
		got, err := Multiply(offload.WithTrace(ctx, &t), a, b)
		if err != nil {
			return err
		}
		there := time.Since(begin)
		for i := range want.Numbers {
			if got.Numbers[i] != want.Numbers[i] {
				return fmt.Errorf("%dx%d: number %d is %v %s, and %v natively", n, n, i, got.Numbers[i], start.Where(&t), want.Numbers[i])
			}
		}
		fmt.Fprintf(w, "%dx%d: a plain call takes %v, the elastic one %v %s; the same to the bit\n",
			n, n, here.Round(time.Microsecond), there.Round(time.Microsecond), start.Where(&t))
	}
	return nil
}

// numbered returns a matrix of small numbers that are not all alike.
func numbered(n int) Matrix {
	m := Matrix{n, n, make([]float64, n*n)}
	for i := range m.Numbers {
		m.Numbers[i] = float64(i%17)/16 - 0.5
	}
	return m
}
