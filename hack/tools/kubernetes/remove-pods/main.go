// Command remove-pods stops and removes every pod of a container runtime, so that its containers, network namespaces,
// addresses and mounts are gone before the runtime itself stops. The kubelet must not run meanwhile.
package main

import (
	"context"
	"flag"
	"log"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

func main() {
	endpoint := flag.String("endpoint", "", "address of the runtime, such as unix:///run/containerd/containerd.sock")
	limit := flag.Duration("timeout", time.Minute, "how long all of it may take")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), *limit)
	defer cancel()
	connection, err := grpc.NewClient(*endpoint, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	runtime := cri.NewRuntimeServiceClient(connection)
	pods, err := runtime.ListPodSandbox(ctx, &cri.ListPodSandboxRequest{})
	if err != nil {
		log.Fatal(err)
	}
	failed := false
	for _, pod := range pods.Items {
		if _, err := runtime.StopPodSandbox(ctx, &cri.StopPodSandboxRequest{PodSandboxId: pod.Id}); err != nil {
			log.Printf("stop %s/%s: %v", pod.Metadata.Namespace, pod.Metadata.Name, err)
			failed = true
			continue
		}
		if _, err := runtime.RemovePodSandbox(ctx, &cri.RemovePodSandboxRequest{PodSandboxId: pod.Id}); err != nil {
			log.Printf("remove %s/%s: %v", pod.Metadata.Namespace, pod.Metadata.Name, err)
			failed = true
		}
	}
	if failed {
		log.Fatal("some pods are left")
	}
}
