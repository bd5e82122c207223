package wasi

import (
	crand "crypto/rand"
	"fmt"
	"math/rand/v2"
)

// randomStep is how many bytes are made before the deadline is looked at: some
// tens of microseconds.
const randomStep = 64 << 10

func randomGet(in *instance, c call) error {
	b, err := c.bytes(0)
	if err != nil {
		return err
	}
	for len(b) > randomStep {
		in.random(b[:randomStep])
		b = b[randomStep:]
		if err := c.ctx.Err(); err != nil {
			return trap{fmt.Errorf("random numbers: %w", err)}
		}
	}
	in.random(b)
	return nil
}

// random fills b.
func (in *instance) random(b []byte) {
	if in.world.random {
		crand.Read(b) // never fails
		return
	}
	if in.seeded == nil {
		in.seeded = rand.NewChaCha8(in.world.seed)
	}
	in.seeded.Read(b) // never fails
}
