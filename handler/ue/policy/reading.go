package policy

import "encoding/json"

// A Number is what a Reading may hold: a time.Duration, or a float64 in a unit.
type Number interface{ ~int64 | ~float64 }

// A Reading is a number that may be unknown. The zero Reading is unknown.
type Reading[T Number] struct {
	value T
	known bool
}

// Known returns the reading of v. A v that is no number, or infinite, is unknown.
func Known[T Number](v T) Reading[T] {
	if v-v != 0 { // NaN, and infinities
		return Reading[T]{}
	}
	return Reading[T]{v, true}
}

// Get returns the number and whether it is known; 0 when not.
func (r Reading[T]) Get() (v T, known bool) { return r.value, r.known }

// Or returns the number, or otherwise where it is unknown.
func (r Reading[T]) Or(otherwise T) T {
	if r.known {
		return r.value
	}
	return otherwise
}

// IsZero says that the number is unknown; encoding/json leaves such readings out where it is told to.
func (r Reading[T]) IsZero() bool { return !r.known }

// MarshalJSON returns the number, or null when it is unknown.
func (r Reading[T]) MarshalJSON() ([]byte, error) {
	if !r.known {
		return []byte("null"), nil
	}
	return json.Marshal(r.value)
}

// UnmarshalJSON reads what MarshalJSON writes.
func (r *Reading[T]) UnmarshalJSON(b []byte) error {
	var v *T
	if err := json.Unmarshal(b, &v); err != nil {
		return err
	}
	*r = Reading[T]{}
	if v != nil {
		*r = Known(*v)
	}
	return nil
}
