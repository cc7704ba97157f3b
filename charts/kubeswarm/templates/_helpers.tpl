{{/* Names. The release's name is in each, so that two releases in two namespaces keep apart where they must. */}}
{{- define "kubeswarm.operator" -}}{{ .Release.Name }}-operator{{- end }}
{{- define "kubeswarm.nats" -}}{{ .Release.Name }}-nats{{- end }}
{{- define "kubeswarm.chain" -}}{{ .Release.Name }}-chain{{- end }}
{{- define "kubeswarm.indexer" -}}{{ .Release.Name }}-indexer{{- end }}
{{- define "kubeswarm.prometheus" -}}{{ .Release.Name }}-prometheus{{- end }}
{{- define "kubeswarm.exchangeSecret" -}}{{ .Release.Name }}-exchange{{- end }}
{{- define "kubeswarm.devAccountSecret" -}}{{ .Release.Name }}-dev-account{{- end }}
{{/* Cluster-scoped objects carry the namespace as well. */}}
{{- define "kubeswarm.clusterName" -}}{{ .Release.Namespace }}-{{ .Release.Name }}{{- end }}

{{- define "kubeswarm.selector" -}}
app.kubernetes.io/name: kubeswarm
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "kubeswarm.labels" -}}
{{ include "kubeswarm.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end }}

{{/* repository[:tag][@digest] */}}
{{- define "kubeswarm.image" -}}
{{- with .image -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.root.Chart.AppVersion }}{{ end }}
{{- end -}}
{{- end }}

{{- define "kubeswarm.chainUrl" -}}
{{- if .Values.chain.url -}}
{{- if .Values.devChain.enabled }}{{ fail "chain.url and devChain.enabled are both set: set devChain.enabled=false to use the chain at chain.url" }}{{ end -}}
{{ .Values.chain.url }}
{{- else if .Values.devChain.enabled -}}
http://{{ include "kubeswarm.chain" . }}.{{ .Release.Namespace }}.svc:8545
{{- end -}}
{{- end }}

{{- define "kubeswarm.accountSecret" -}}
{{- if .Values.chain.accountSecret -}}
{{ .Values.chain.accountSecret }}
{{- else if .Values.devChain.enabled -}}
{{ include "kubeswarm.devAccountSecret" . }}
{{- else -}}
{{ fail "chain.url needs chain.accountSecret: the Secret whose key `key` holds the private key that owns the Swarms and funds the Nodes' keys" }}
{{- end -}}
{{- end }}

{{- define "kubeswarm.exchangeUrl" -}}
{{- if .Values.exchange.url -}}
{{- if .Values.nats.enabled }}{{ fail "exchange.url and nats.enabled are both set: set nats.enabled=false to use the server at exchange.url" }}{{ end -}}
{{ .Values.exchange.url }}
{{- else if .Values.nats.enabled -}}
nats://{{ include "kubeswarm.nats" . }}.{{ .Release.Namespace }}.svc:4222
{{- end -}}
{{- end }}

{{- define "kubeswarm.indexerUrl" -}}
{{- if .Values.indexer.url -}}
{{- if .Values.indexer.enabled }}{{ fail "indexer.url and indexer.enabled are both set: set indexer.enabled=false to use the log at indexer.url" }}{{ end -}}
{{ .Values.indexer.url }}
{{- else if .Values.indexer.enabled -}}
http://{{ include "kubeswarm.indexer" . }}.{{ .Release.Namespace }}.svc:9094
{{- end -}}
{{- end }}

{{/* The restricted pod security standard. */}}
{{- define "kubeswarm.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "kubeswarm.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "kubeswarm.pullSecrets" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end }}

{{/* A claim of the chart's own rather than of a StatefulSet, whose size could never be changed. */}}
{{- define "kubeswarm.claim" -}}
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: {{ .name }}
  namespace: {{ .root.Release.Namespace }}
  labels: {{- include "kubeswarm.labels" . | nindent 4 }}
spec:
  accessModes: [ReadWriteOnce]
  {{- with .storage.storageClassName }}
  storageClassName: {{ . }}
  {{- end }}
  resources: {requests: {storage: {{ .storage.size }}}}
{{- end }}
