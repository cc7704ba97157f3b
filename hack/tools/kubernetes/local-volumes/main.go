// Command local-volumes is the dynamic provisioner behind the local cluster's StorageClass: a claim gets a directory
// of this machine as a `local` persistent volume, and the directory goes with the volume. (The controller-manager's
// own host-path provisioner makes directories that only root can write, and host paths ignore fsGroup.)
package main

import (
	"context"
	"flag"
	"log"
	"os"
	"path/filepath"
	"time"

	core "k8s.io/api/core/v1"
	storage "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	provisionerName  = "kubeswarm.dev/local-volumes"
	provisionedBy    = "pv.kubernetes.io/provisioned-by"
	selectedNode     = "volume.kubernetes.io/selected-node"
	resync           = 30 * time.Second // also the wait before a failed step is tried again
	hostnameLabel    = "kubernetes.io/hostname"
	directoryAllOpen = 0o777 // a pod without fsGroup may run as any user
)

type provisioner struct {
	client kubernetes.Interface
	root   string
}

func main() {
	kubeconfig := flag.String("kubeconfig", "", "credentials for the API server")
	root := flag.String("root", "", "folder that holds the volumes' directories")
	flag.Parse()
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		log.Fatal(err)
	}
	p := provisioner{client: kubernetes.NewForConfigOrDie(config), root: filepath.Clean(*root)}
	factory := informers.NewSharedInformerFactory(p.client, resync)
	watch(factory.Core().V1().PersistentVolumeClaims().Informer(), p.provision)
	watch(factory.Core().V1().PersistentVolumes().Informer(), p.reclaim)
	factory.Start(context.Background().Done())
	select {}
}

// watch calls act for each object on each event and each resync; act must do nothing where nothing is to be done.
func watch[T any](informer cache.SharedIndexInformer, act func(T) error) {
	try := func(object any) {
		if typed, ok := object.(T); ok {
			if err := act(typed); err != nil {
				log.Print(err)
			}
		}
	}
	handler := cache.ResourceEventHandlerFuncs{AddFunc: try, UpdateFunc: func(_, new any) { try(new) }}
	if _, err := informer.AddEventHandler(handler); err != nil {
		log.Fatal(err)
	}
}

func (p provisioner) provision(claim *core.PersistentVolumeClaim) error {
	node := claim.Annotations[selectedNode]
	if claim.Spec.VolumeName != "" || claim.Spec.StorageClassName == nil || claim.DeletionTimestamp != nil {
		return nil
	}
	class, err := p.client.StorageV1().StorageClasses().Get(context.Background(), *claim.Spec.StorageClassName, meta.GetOptions{})
	if errors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if class.Provisioner != provisionerName || node == "" {
		return nil // the class waits for its first consumer, so that a claim without a node is not due yet
	}
	volume := p.volume(claim, class, node)
	path := volume.Spec.Local.Path
	if err := os.MkdirAll(path, directoryAllOpen); err != nil {
		return err
	}
	if err := os.Chmod(path, directoryAllOpen); err != nil { // the umask has narrowed it
		return err
	}
	_, err = p.client.CoreV1().PersistentVolumes().Create(context.Background(), volume, meta.CreateOptions{})
	if err == nil {
		log.Printf("made %s for claim %s/%s", volume.Name, claim.Namespace, claim.Name)
	} else if errors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

func (p provisioner) volume(claim *core.PersistentVolumeClaim, class *storage.StorageClass, node string) *core.PersistentVolume {
	name := "pvc-" + string(claim.UID)
	here := core.NodeSelectorRequirement{Key: hostnameLabel, Operator: core.NodeSelectorOpIn, Values: []string{node}}
	return &core.PersistentVolume{
		ObjectMeta: meta.ObjectMeta{Name: name, Annotations: map[string]string{provisionedBy: provisionerName}},
		Spec: core.PersistentVolumeSpec{
			StorageClassName:              class.Name,
			PersistentVolumeReclaimPolicy: *class.ReclaimPolicy,
			AccessModes:                   claim.Spec.AccessModes,
			Capacity:                      core.ResourceList{core.ResourceStorage: claim.Spec.Resources.Requests[core.ResourceStorage]},
			ClaimRef: &core.ObjectReference{
				APIVersion: "v1", Kind: "PersistentVolumeClaim",
				Namespace: claim.Namespace, Name: claim.Name, UID: claim.UID, ResourceVersion: claim.ResourceVersion,
			},
			PersistentVolumeSource: core.PersistentVolumeSource{
				Local: &core.LocalVolumeSource{Path: filepath.Join(p.root, name)},
			},
			NodeAffinity: &core.VolumeNodeAffinity{Required: &core.NodeSelector{
				NodeSelectorTerms: []core.NodeSelectorTerm{{MatchExpressions: []core.NodeSelectorRequirement{here}}},
			}},
		},
	}
}

func (p provisioner) reclaim(volume *core.PersistentVolume) error {
	ours := volume.Annotations[provisionedBy] == provisionerName && volume.Spec.Local != nil
	due := volume.Status.Phase == core.VolumeReleased && volume.DeletionTimestamp == nil
	if !ours || !due || volume.Spec.PersistentVolumeReclaimPolicy != core.PersistentVolumeReclaimDelete {
		return nil
	}
	if path := volume.Spec.Local.Path; filepath.Dir(path) == p.root { // never follow an edited path out of the folder
		if err := os.RemoveAll(path); err != nil {
			return err
		}
	}
	err := p.client.CoreV1().PersistentVolumes().Delete(context.Background(), volume.Name, meta.DeleteOptions{})
	if err == nil {
		log.Printf("removed %s", volume.Name)
	} else if errors.IsNotFound(err) {
		return nil
	}
	return err
}
