// Command network-policies holds the local cluster's pods to their network policies: it asks the policy engine of
// kube-network-policies about the first packet of each connection, which the kernel hands over through a netfilter queue.
//
// The engine's own rules that fill the queue take a kernel with CONFIG_NFT_QUEUE. Where there is none the kernel refuses
// them, which the engine logs and lives with; so the cluster's set-up lays rules of its own (hack/cluster/network.py), by
// the older xtables target. Where both are laid a packet is judged twice, with the same verdict.
package main

import (
	"context"
	"flag"
	"log"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/kube-network-policies/pkg/networkpolicy"
)

const boundQueues = "/proc/net/netfilter/nfnetlink_queue" // a line for each queue that somebody reads: number, reader, ...

func main() {
	kubeconfig := flag.String("kubeconfig", "", "credentials for the API server")
	node := flag.String("node", "", "the node whose pods are guarded")
	queue := flag.Int("queue", 100, "number of the netfilter queue")
	health := flag.String("health", "", "address that serves /healthz")
	flag.Parse()
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		log.Fatal(err)
	}
	// Not JSON: the engine takes an empty list of rules, which JSON can tell from none, for "everybody is let in".
	config.ContentType = runtime.ContentTypeProtobuf
	config.AcceptContentTypes = runtime.ContentTypeProtobuf
	client := kubernetes.NewForConfigOrDie(config)
	factory := informers.NewSharedInformerFactory(client, 0)
	policies := factory.Networking().V1().NetworkPolicies()
	namespaces, pods := factory.Core().V1().Namespaces(), factory.Core().V1().Pods()
	engine, err := networkpolicy.NewController(client, policies, namespaces, pods, nil, nil, nil, nil,
		networkpolicy.Config{QueueID: *queue, NodeName: *node})
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	factory.Start(ctx.Done())
	go func() { log.Fatal(http.ListenAndServe(*health, healthz(*queue))) }()
	if err := engine.Run(ctx); err != nil && ctx.Err() == nil {
		log.Fatal(err)
	}
}

// healthz answers 200 once the engine reads its queue, which it does from when it knows all pods and policies.
func healthz(queue int) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(answer http.ResponseWriter, _ *http.Request) {
		table, err := os.ReadFile(boundQueues)
		if err != nil || !isBound(string(table), queue) {
			http.Error(answer, "nobody reads the queue", http.StatusServiceUnavailable)
		}
	})
	return mux
}

func isBound(table string, queue int) bool {
	for line := range strings.Lines(table) {
		if fields := strings.Fields(line); len(fields) > 0 && fields[0] == strconv.Itoa(queue) {
			return true
		}
	}
	return false
}
