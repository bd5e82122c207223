// Command guest is the module of package swell.
package main

import (
	"github.com/bungee-xr/bungee/handler/host/testdata/swell"
	"github.com/bungee-xr/bungee/offload/guest"
)

func main() {}

func init() {
	s := swell.Endpoint(nil).Serve()
	guest.Register(s.Handle, s.Save, s.Restore)
}
