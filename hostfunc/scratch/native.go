//go:build !wasip1

package scratch

import (
	"bytes"
	"fmt"
	"sync"
)

// A Store is the scratch of a session. The zero Store is empty and ready to use. A Store
// may be used by many goroutines.
type Store struct {
	mu     sync.Mutex
	values map[string][]byte
	size   int // bytes of all keys and values
}

// View calls use with the value of key and returns true, or returns false when there is
// none. use must not keep the value and must not call methods of s.
func (s *Store) View(key string, use func(value []byte)) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.values[key]
	if ok {
		use(v)
	}
	return ok
}

// Set sets the value of key to a copy of value. After an error the key has its old value.
// The errors are [ErrTooLarge] and [ErrFull].
func (s *Store) Set(key string, value []byte) error {
	if len(key) > MaxKey || len(value) > MaxValue {
		return fmt.Errorf("%w: %d and %d bytes; at most %d and %d", ErrTooLarge, len(key), len(value), MaxKey, MaxValue)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old, had := s.values[key]
	size := s.size + len(value) - len(old)
	if !had {
		size += len(key)
	}
	if size > MaxBytes || !had && len(s.values) >= MaxKeys {
		return fmt.Errorf("%w: it has %d keys and %d bytes; at most %d and %d", ErrFull, len(s.values), s.size, MaxKeys, MaxBytes)
	}
	if s.values == nil {
		s.values = map[string][]byte{}
	}
	s.values[key] = bytes.Clone(value)
	s.size = size
	return nil
}

// Delete deletes key, if it is there.
func (s *Store) Delete(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v, ok := s.values[key]; ok {
		s.size -= len(key) + len(v)
		delete(s.values, key)
	}
}

// process is the scratch of a native program.
var process Store

// Get returns a copy of the value of key, and whether there is one.
func Get(key string) (value []byte, ok bool) {
	ok = process.View(key, func(v []byte) { value = append([]byte{}, v...) })
	return value, ok
}

// Set sets the value of key to a copy of value. After an error the key has its old value.
// The errors are [ErrTooLarge] and [ErrFull].
func Set(key string, value []byte) error { return process.Set(key, value) }

// Delete deletes key, if it is there.
func Delete(key string) { process.Delete(key) }
