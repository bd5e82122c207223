package offloadtest

import (
	"math"
	"reflect"
)

// near says whether a and b are equal but for the bits of NaNs, and for floating-point
// numbers that differ by at most ulp units in the last place.
func near(a, b reflect.Value, ulp int) bool {
	switch a.Kind() {
	case reflect.Float32:
		return nearFloat(a.Float(), b.Float(), ulp, math.Float32bits(float32(a.Float())), math.Float32bits(float32(b.Float())))
	case reflect.Float64:
		return nearFloat(a.Float(), b.Float(), ulp, math.Float64bits(a.Float()), math.Float64bits(b.Float()))
	case reflect.Pointer:
		return a.IsNil() == b.IsNil() && (a.IsNil() || near(a.Elem(), b.Elem(), ulp))
	case reflect.Slice:
		if a.IsNil() != b.IsNil() || a.Len() != b.Len() {
			return false
		}
		return nearElements(a, b, ulp)
	case reflect.Array:
		return nearElements(a, b, ulp)
	case reflect.Struct:
		for i := range a.NumField() {
			if !near(a.Field(i), b.Field(i), ulp) {
				return false
			}
		}
		return true
	case reflect.Map:
		return nearMaps(a, b, ulp)
	case reflect.Bool:
		return a.Bool() == b.Bool()
	case reflect.String:
		return a.String() == b.String()
	}
	return a.CanInt() && a.Int() == b.Int() || a.CanUint() && a.Uint() == b.Uint()
}

func nearElements(a, b reflect.Value, ulp int) bool {
	for i := range a.Len() {
		if !near(a.Index(i), b.Index(i), ulp) {
			return false
		}
	}
	return true
}

func nearMaps(a, b reflect.Value, ulp int) bool {
	if a.IsNil() != b.IsNil() || a.Len() != b.Len() {
		return false
	}
	for it := a.MapRange(); it.Next(); {
		other := b.MapIndex(it.Key())
		if !other.IsValid() || !near(it.Value(), other, ulp) {
			return false
		}
	}
	return true
}

// nearFloat compares two numbers with their bits.
func nearFloat[B uint32 | uint64](x, y float64, ulp int, a, b B) bool {
	switch {
	case a == b, math.IsNaN(x) && math.IsNaN(y):
		return true
	case ulp == 0 || math.IsNaN(x) || math.IsNaN(y) || math.Signbit(x) != math.Signbit(y):
		return ulp > 0 && x == y
	}
	return max(a, b)-min(a, b) <= B(ulp)
}
