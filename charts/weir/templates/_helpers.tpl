{{/* Begins the names of the release's objects. */}}
{{- define "weir.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" (.Release.Name | trunc 34 | trimSuffix "-") .Chart.Name -}}
{{- end -}}
{{- end }}

{{/* Name of the operator's Deployment and what belongs to it. */}}
{{- define "weir.operator" -}}
{{- include "weir.fullname" . -}}-operator
{{- end }}

{{/* Name of an object that no namespace holds: unique in the cluster. */}}
{{- define "weir.clusterName" -}}
{{- printf "%s.%s" .Release.Namespace (include "weir.fullname" .) -}}
{{- end }}

{{/* Name of the operator's service account. */}}
{{- define "weir.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "weir.operator" .) -}}
{{- else -}}
{{- required "serviceAccount.create is false: serviceAccount.name must name a service account that exists" .Values.serviceAccount.name -}}
{{- end -}}
{{- end }}

{{/* Name of the ConfigMap with the MediaPool. The pool goes with it, so that a pool of another name takes another map. */}}
{{- define "weir.poolConfigMap" -}}
{{- printf "%s-pool-%s" (include "weir.fullname" .) .Values.pool.name -}}
{{- end }}

{{/* The images. */}}
{{- define "weir.image.operator" -}}
{{- .Values.images.operator | default (printf "%s/weir-operator:%s" .Values.images.registry (.Values.images.tag | default .Chart.AppVersion)) -}}
{{- end }}
{{- define "weir.image.mediaNode" -}}
{{- .Values.images.mediaNode | default (printf "%s/weir-media-node:%s" .Values.images.registry (.Values.images.tag | default .Chart.AppVersion)) -}}
{{- end }}

{{/* Labels of every object of the release. */}}
{{- define "weir.labels" -}}
app.kubernetes.io/name: weir
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: weir
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* Labels by which the operator's pods are found. They can never change. */}}
{{- define "weir.operatorSelector" -}}
app.kubernetes.io/name: weir
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end }}

{{/* A container that may do nothing but compute and talk. */}}
{{- define "weir.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}
{{- define "weir.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{/* What the operator does in each namespace that it serves. A role can grant only what its maker has: the operator has all
     that the roles of media nodes and gateways say, among it `get` of the Secrets that cameras name. It can list none. */}}
{{- define "weir.servedRules" -}}
- apiGroups: [weir.video]
  resources: [cameras, routes, rooms, recordschedules, mediapools]
  verbs: [get, list, watch]
- apiGroups: [weir.video]
  resources: [cameras/status, routes/status, rooms/status, recordschedules/status, mediapools/status]
  verbs: [patch]
# What a pool owns blocks its deletion until it is gone, which some clusters allow to those alone who may finish it.
- apiGroups: [weir.video]
  resources: [mediapools/finalizers]
  verbs: [update]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch, delete]
# Gateways write what API calls make, and the Secrets of that. Who gives them that right must have it.
- apiGroups: [weir.video]
  resources: [cameras, routes, recordschedules]
  verbs: [create, patch, delete]
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, create, delete]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
- apiGroups: [""]
  resources: [services, serviceaccounts]
  verbs: [list, create, patch, delete]
- apiGroups: [rbac.authorization.k8s.io]
  resources: [roles, rolebindings]
  verbs: [list, create, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [list, create, patch, delete]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [list, create, patch, delete]
- apiGroups: [apps]
  resources: [statefulsets, deployments]
  verbs: [list, watch, create, patch, delete]
{{- end }}
