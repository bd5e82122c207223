package host

import (
	"crypto/tls"
	"testing"

	"github.com/bungee-xr/bungee/executor/native"
	"github.com/bungee-xr/bungee/internal/link"
)

// Handshakes of strangers count in the host's budget, and take an eighth of it at most.
func TestStrangersHaveAnEighth(t *testing.T) {
	h, err := New(Config{Engine: native.Engine{}, TLS: &tls.Config{}, Memory: 80 * link.YoungCost})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	var all []func()
	for {
		known, ok := h.stranger()
		if !ok {
			break
		}
		all = append(all, known)
	}
	if held := h.Memory().Held; len(all) != 10 || held != 10*link.YoungCost {
		t.Errorf("%d handshakes are under way, and %d bytes held; want 10 of 80 that would fit, and %d", len(all), held, 10*link.YoungCost)
	}
	for _, known := range all {
		known()
		known()
	}
	if held := h.Memory().Held; held != 0 {
		t.Errorf("%d bytes held when all are known", held)
	}
}
