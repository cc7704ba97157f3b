// CoreDNS with the few plugins that a cluster's own name service needs: the stock binary also carries the SDKs of
// three clouds, which take longer to compile than everything else in it.
package main

import (
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"

	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/forward"
	_ "github.com/coredns/coredns/plugin/health"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/metrics"
	_ "github.com/coredns/coredns/plugin/ready"
)

// A request passes through the plugins in this order.
func init() {
	dnsserver.Directives = []string{"errors", "health", "ready", "prometheus", "cache", "kubernetes", "forward"}
}

func main() { coremain.Run() }
