//go:build !wasip1

package scratch_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/bungee-xr/bungee/hostfunc/scratch"
)

// get returns the value of key as text, "-" for none.
func get(s *scratch.Store, key string) string {
	got := "-"
	s.View(key, func(v []byte) { got = string(v) })
	return got
}

func TestStore(t *testing.T) {
	var s scratch.Store
	value := []byte("one")
	if err := s.Set("k", value); err != nil {
		t.Fatal(err)
	}
	value[0] = 'X'
	if got := get(&s, "k"); got != "one" {
		t.Errorf("got %q; Set keeps a copy", got)
	}
	if err := s.Set("k", nil); err != nil || get(&s, "k") != "" {
		t.Errorf("an empty value is %q, %v; want one that is there", get(&s, "k"), err)
	}
	s.Delete("k")
	s.Delete("k")
	if got := get(&s, "k"); got != "-" {
		t.Errorf("got %q after Delete", got)
	}
	if got := get(&s, ""); got != "-" {
		t.Errorf("got %q for a key nobody set", got)
	}
}

func TestStoreBounds(t *testing.T) {
	large := make([]byte, scratch.MaxValue)
	tests := []struct {
		why  string
		key  string
		n    int
		want error
	}{
		{"the longest key", strings.Repeat("k", scratch.MaxKey), 1, nil},
		{"a longer one", strings.Repeat("k", scratch.MaxKey+1), 1, scratch.ErrTooLarge},
		{"the longest value", "k", scratch.MaxValue, nil},
		{"a longer one", "k", scratch.MaxValue + 1, scratch.ErrTooLarge},
	}
	for _, tt := range tests {
		var s scratch.Store
		if err := s.Set(tt.key, make([]byte, tt.n)); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v; want %v", tt.why, err, tt.want)
		}
	}

	var s scratch.Store
	n := 0
	for s.Set(fmt.Sprint("large", n), large) == nil {
		n++
	}
	if want := scratch.MaxBytes/scratch.MaxValue - 1; n != want { // one less: keys count too
		t.Errorf("%d values of %d bytes fit; want %d", n, len(large), want)
	}
	if err := s.Set("large0", []byte("small")); err != nil {
		t.Errorf("a full store refuses a shorter value: %v", err)
	}
	if err := s.Set("more", large); err != nil {
		t.Errorf("the room it left is not used: %v", err)
	}
	if err := s.Set("large0", large); !errors.Is(err, scratch.ErrFull) || get(&s, "large0") != "small" {
		t.Errorf("a value that does not fit: %v, and the old one is %q; want ErrFull, small", err, get(&s, "large0"))
	}
}

func TestStoreKeys(t *testing.T) {
	var s scratch.Store
	for i := range scratch.MaxKeys {
		if err := s.Set(fmt.Sprint(i), nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Set("one more", nil); !errors.Is(err, scratch.ErrFull) {
		t.Errorf("a key too many: %v; want ErrFull", err)
	}
	if err := s.Set("7", []byte("x")); err != nil {
		t.Errorf("a key that is there: %v", err)
	}
	s.Delete("8")
	if err := s.Set("one more", nil); err != nil {
		t.Errorf("in place of a deleted key: %v", err)
	}
}

// FuzzStore compares the store with a map, over any calls, and its bound with a count.
func FuzzStore(f *testing.F) {
	f.Add([]byte("\x00ab\x01ac\x02a\x00b\xff"))
	f.Fuzz(func(t *testing.T, ops []byte) {
		var s scratch.Store
		want := map[string]int{}
		size := 0
		for ; len(ops) >= 3; ops = ops[3:] {
			key, n := string(ops[1:2]), int(ops[2])*300
			switch ops[0] % 2 {
			case 0:
				after := size - want[key] + n
				if _, had := want[key]; !had {
					after += len(key)
				}
				err := s.Set(key, bytes.Repeat(ops[1:2], n))
				if fits := n <= scratch.MaxValue && after <= scratch.MaxBytes; (err == nil) != fits {
					t.Fatalf("%d bytes and %d more: %v", size, n, err)
				}
				if err == nil {
					want[key], size = n, after
				}
			case 1:
				s.Delete(key)
				if n, had := want[key]; had {
					size -= n + len(key)
					delete(want, key)
				}
			}
		}
		for key, n := range want {
			if got := get(&s, key); got != strings.Repeat(key, n) {
				t.Fatalf("%q has %d bytes; want %d", key, len(got), n)
			}
		}
	})
}

// TestStoreConcurrency has many set one key: one value stays, whole.
func TestStoreConcurrency(t *testing.T) {
	var s scratch.Store
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 200 {
				value := bytes.Repeat([]byte{byte('a' + i)}, 100)
				if err := s.Set("k", value); err != nil {
					t.Error(err)
				}
				if got := get(&s, "k"); got != "-" && got != strings.Repeat(got[:1], 100) {
					t.Errorf("got parts of two values: %q", got)
				}
				if i == 0 {
					s.Delete("k")
				}
			}
		})
	}
	wg.Wait()
}

// A function keeps what took long to compute.
func Example() {
	for range 2 {
		table, ok := scratch.Get("squares")
		if !ok {
			table = []byte{0, 1, 4, 9}
			if err := scratch.Set("squares", table); err != nil {
				fmt.Println(err) // the next call computes it again
			}
		}
		fmt.Println(ok, table[3])
	}
	scratch.Delete("squares")
	// Output:
	// false 9
	// true 9
}
