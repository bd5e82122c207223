// Package camara finds offload managers by an operator's network: CAMARA's [Simple Edge Discovery] says which of the operator's edge cloud zones
// is closest to a device, by the path of its packets. A [Discovery] is a Discoverer of package ue:
//
//	d, err := camara.New(camara.Config{
//		URL:    "https://api.operator.example/simple-edge-discovery/v2",
//		Token:  token, // of OAuth 2.0, as the operator has agreed with the application
//		Places: camara.Table{"UK-SOUTH": {"manager.uk-south.example:4434"}},
//	})
//	...
//	h, err := ue.Start(ctx, ue.Config{Managers: d, TLS: conf})
//
// The API names a zone and knows no managers, so the application says where those of a zone are: a [Table], or DNS ([SRV]), or [Places] of its own.
//
// # Trust
//
// The token goes to the host of Config.URL and nowhere else: redirects are errors, and so is a URL without https, but for one of this machine.
// An answer is a name, at most 64 KiB of it are read, and it leads only to addresses that Places has. Who a manager is, TLS decides, with the certificates of ue.Config.
//
// # Cost
//
// The API is asked when a UE looks for a manager and has not asked within [Config.Keep]: operators bill and limit it. While it fails, the zone of the last answer
// counts; without one there is no manager, and calls run on the UE.
//
// Versions 0 and 1 of the API (releases r1.x, GET and headers) and those from 2 on (r2.x and later, POST and a body) are spoken; the URL says which.
//
// [Simple Edge Discovery]: https://github.com/camaraproject/SimpleEdgeDiscovery
package camara
