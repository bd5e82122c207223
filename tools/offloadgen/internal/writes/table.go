package writes

import (
	"go/types"
	"strings"
)

// first are the functions of the standard library that change what their first argument
// refers to, by package.
var first = map[string]string{
	"sort":            "Float64s Ints Sort Stable Strings Slice SliceStable",
	"slices":          "Compact CompactFunc Delete DeleteFunc Insert Replace Reverse Sort SortFunc SortStableFunc",
	"maps":            "Copy DeleteFunc Insert",
	"container/heap":  "Init Push Pop Remove Fix",
	"image/draw":      "Draw DrawMask",
	"crypto/rand":     "Read",
	"math/rand":       "Read",
	"encoding/hex":    "Decode Encode",
	"crypto/subtle":   "XORBytes ConstantTimeCopy",
	"encoding/binary": "PutUvarint PutVarint Encode",
}

// second are those that change what their second argument refers to.
var second = map[string]string{
	"encoding/json": "Unmarshal", "encoding/xml": "Unmarshal", "encoding/asn1": "Unmarshal",
	"io": "ReadFull ReadAtLeast",
}

// returned are functions that return what an argument refers to.
var returned = map[string]int{
	"slices.Clip": 0, "slices.Grow": 0, "slices.Delete": 0, "slices.DeleteFunc": 0, "slices.Compact": 0, "slices.CompactFunc": 0,
	"slices.Insert": 0, "slices.Replace": 0, "bytes.TrimSpace": 0, "bytes.Trim": 0, "bytes.TrimPrefix": 0, "bytes.TrimSuffix": 0,
	"sort.IntSlice": 0, "sort.Reverse": 0,
}

// verbs begin the names of methods on pointers that change what these point to.
var verbs = strings.Fields("Set Write Reset Add Sub Mul Quo Put Push Pop Insert Delete Remove Store Swap Clear Truncate Fill Append Unmarshal Scan Shuffle Sort")

// changed returns the indices of the arguments, the receiver being the first, that fn, a
// function of another package or a method of an interface, changes as its name tells.
func changed(fn *types.Func) []int {
	if fn.Pkg() == nil {
		return nil
	}
	recv := fn.Signature().Recv()
	if recv == nil {
		return changedBy(fn)
	}
	switch name := fn.Name(); {
	case name == "Read" && fillsBytes(fn.Signature()), name == "ReadAt":
		return []int{1}
	case fn.Pkg().Path() == "encoding/binary" && strings.HasPrefix(name, "PutUint"):
		return []int{1}
	case name == "XORKeyStream" || name == "CryptBlocks" || (name == "Encrypt" || name == "Decrypt") && fillsBytes(fn.Signature()):
		return []int{1}
	case name == "Draw" && fn.Pkg().Path() == "image/draw":
		return []int{1}
	}
	if _, pointer := recv.Type().Underlying().(*types.Pointer); !pointer && !types.IsInterface(recv.Type()) {
		return nil
	}
	for _, v := range verbs {
		if rest, ok := strings.CutPrefix(fn.Name(), v); ok && (rest == "" || rest[0] < 'a') {
			return []int{0}
		}
	}
	return nil
}

func changedBy(fn *types.Func) []int {
	names := func(list string) bool {
		for n := range strings.FieldsSeq(list) {
			if n == fn.Name() {
				return true
			}
		}
		return false
	}
	switch path := fn.Pkg().Path(); {
	case names(first[path]):
		return []int{0}
	case names(second[path]):
		return []int{1}
	}
	return nil
}

// fillsBytes says whether the first parameter is a []byte.
func fillsBytes(s *types.Signature) bool {
	return s.Params().Len() > 0 && types.TypeString(s.Params().At(0).Type(), nil) == "[]byte"
}
