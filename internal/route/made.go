//go:build !wasip1

package route

import (
	"reflect"
	"sync"

	"github.com/bungee-xr/bungee/offload"
)

// made are the descriptions of elastic functions, by where their code begins.
var made sync.Map // uintptr to *offload.Desc

// Made takes note that the function elastic is the elastic one that d describes.
func Made(elastic any, d *offload.Desc) { made.Store(reflect.ValueOf(elastic).Pointer(), d) }

// DescOf returns the description of an elastic function, nil when f is none.
func DescOf(f any) *offload.Desc {
	v := reflect.ValueOf(f)
	if v.Kind() != reflect.Func || v.IsNil() {
		return nil
	}
	d, _ := made.Load(v.Pointer())
	desc, _ := d.(*offload.Desc)
	return desc
}
