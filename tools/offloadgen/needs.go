package main

// What is generated imports these packages. Since the command imports them, too, "go get -tool" adds
// the sums of what they need to go.sum, and "go mod vendor" copies them, before anything is generated.
import (
	_ "github.com/bungee-xr/bungee/elastic"
	_ "github.com/bungee-xr/bungee/offload/codegen"
	_ "github.com/bungee-xr/bungee/offload/guest"
)
