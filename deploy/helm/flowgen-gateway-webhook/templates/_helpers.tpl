{{- define "fgw.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "fgw.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains (include "fgw.name" .) .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "fgw.name" .) | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "fgw.selectorLabels" -}}
app.kubernetes.io/name: {{ include "fgw.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "fgw.labels" -}}
{{ include "fgw.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "fgw.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "fgw.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- required "serviceAccount.name is missing: name the ServiceAccount that exists, or set serviceAccount.create" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "fgw.reconcileName" -}}
{{- include "fgw.fullname" . | trunc 53 | trimSuffix "-" }}-reconcile
{{- end }}

{{- /* Who writes the gateways' objects, as the items of a CEL list. */}}
{{- define "fgw.writers" -}}
'system:serviceaccount:{{ .Release.Namespace }}:{{ include "fgw.serviceAccountName" . }}'
{{- if .Values.reconcile.enabled }}, 'system:serviceaccount:{{ .Release.Namespace }}:{{ include "fgw.reconcileName" . }}'{{ end }}
{{- end }}

{{- define "fgw.subject" -}}
- kind: ServiceAccount
  name: {{ include "fgw.serviceAccountName" . }}
  namespace: {{ .Release.Namespace }}
{{- end }}

{{- define "fgw.image" -}}
{{- with .Values.image }}
{{- if .digest }}
{{- printf "%s@%s" .repository .digest }}
{{- else }}
{{- printf "%s:%s" .repository (default $.Chart.AppVersion .tag) }}
{{- end }}
{{- end }}
{{- end }}

{{- define "fgw.mode" -}}
{{- default "enforce" .Values.config.mode }}
{{- end }}

{{- define "fgw.workloadEvents" -}}
{{- if and .Values.webhook.workloadEvents .Values.rbac.events }}true{{ end }}
{{- end }}

{{- define "fgw.failurePolicy" -}}
{{- default (ternary "Ignore" "Fail" (eq (include "fgw.mode" .) "audit")) .Values.webhook.failurePolicy }}
{{- end }}

{{- /* The last part of the webhook's path, which the chart's own pods do not ask for. */}}
{{- define "fgw.pathToken" -}}
{{- if and .Values.webhook.pathToken (or (not .Values.webhook.url) (gt (int .Values.replicaCount) 0)) }}
{{- fail "webhook.pathToken is for a webhook outside the cluster, and the chart's own pods answer 404 there: set webhook.url, and replicaCount to 0" }}
{{- end }}
{{- .Values.webhook.pathToken }}
{{- end }}

{{- /* The path by which the API servers call a webhook (a list: the context, its name, its path) at the Service now: a token may be in it. */}}
{{- define "fgw.servicePath" -}}
{{- $name := index . 1 }}
{{- $path := index . 2 }}
{{- with index . 0 }}
{{- if and .Values.webhook.ownPathToken (or .Values.webhook.url (ne .Values.tls.mode "self")) }}
{{- fail "webhook.ownPathToken is made from the key of the webhook's own CA, and put into the path at its Service: leave tls.mode self and webhook.url empty" }}
{{- end }}
{{- $live := "" }}
{{- range (lookup "admissionregistration.k8s.io/v1" "MutatingWebhookConfiguration" "" (include "fgw.fullname" .)).webhooks }}
{{- if eq .name $name }}{{- $live = default "" (dig "clientConfig" "service" "path" "" .) }}{{- end }}
{{- end }}
{{- if hasPrefix $path $live }}{{ $live }}{{ else if or (ne $path "/mutate") (not .Values.webhook.ownPathToken) }}{{ $path }}{{ end }}
{{- end }}
{{- end }}

{{- /* The namespaces that the config's gateways name, as a JSON list. */}}
{{- define "fgw.gatewayNamespaces" -}}
{{- $namespaces := list }}
{{- range .Values.config.gateways }}
{{- if .namespace }}
{{- $namespaces = append $namespaces .namespace }}
{{- end }}
{{- end }}
{{- $namespaces | uniq | sortAlpha | toJson }}
{{- end }}

{{- /* The config's gateways as a CEL list's items, 'namespace/name'; `*` where a gateway may be in any namespace. */}}
{{- define "fgw.gatewayPlaces" -}}
{{- $places := list }}
{{- range .Values.config.gateways }}
{{- $places = append $places (printf "'%s/%s'" (default "*" .namespace) (default "flowgen-wireguard-gateway" .name)) }}
{{- end }}
{{- join ", " $places }}
{{- end }}

{{- /* The DNS names and addresses of the serving certificate, as a JSON list. */}}
{{- define "fgw.tlsNames" -}}
{{- $names := list (printf "%s.%s.svc" (include "fgw.fullname" .) .Release.Namespace) }}
{{- with .Values.webhook.url }}
{{- $names = append $names (urlParse . | dig "hostname" "") }}
{{- end }}
{{- $names | toJson }}
{{- end }}

{{- /* The Secret that is mounted, where the webhook does not make its certificate itself. */}}
{{- define "fgw.tlsSecret" -}}
{{- if eq .Values.tls.mode "certManager" }}
{{- include "fgw.fullname" . }}-certificate
{{- else }}
{{- required "tls.provided.secretName is missing: name the Secret that holds tls.crt and tls.key" .Values.tls.provided.secretName }}
{{- end }}
{{- end }}

{{- /* The namespaces whose pods are looked at. The control plane, the webhook and the gateways never wait for the webhook. */}}
{{- define "fgw.namespaceSelector" -}}
{{- $none := list "kube-system" "kube-node-lease" "kube-public" .Release.Namespace }}
{{- if .Values.gatewayNamespaces.create }}
{{- $none = concat $none (include "fgw.gatewayNamespaces" . | fromJsonArray) }}
{{- end -}}
matchExpressions:
  - key: kubernetes.io/metadata.name
    operator: NotIn
    values:
      {{- toYaml (uniq $none) | nindent 6 }}
  {{- with .Values.webhook.namespaceSelector.matchExpressions }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .Values.webhook.namespaceSelector.matchLabels }}
matchLabels:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- /* The same selector as a CEL expression of `variables.namespaceLabels`. */}}
{{- define "fgw.isAsked" -}}
{{- $selector := include "fgw.namespaceSelector" . | fromYaml }}
{{- $terms := list }}
{{- range $key, $value := $selector.matchLabels }}
{{- $terms = append $terms (printf "variables.namespaceLabels[?'%s'] == optional.of('%s')" $key $value) }}
{{- end }}
{{- range $selector.matchExpressions }}
{{- $has := printf "'%s' in variables.namespaceLabels" .key }}
{{- $isOne := printf "(%s && variables.namespaceLabels['%s'] in [%s])" $has .key (include "fgw.celStrings" .values) }}
{{- $terms = append $terms (index (dict "In" $isOne "NotIn" (print "!" $isOne) "Exists" (print "(" $has ")") "DoesNotExist" (print "!(" $has ")")) .operator) }}
{{- end }}
{{- join " && " $terms }}
{{- end }}

{{- /* Whether a pod is flowgen's, as a CEL expression (src/core/config/flowgen-pods.ts). */}}
{{- define "fgw.isFlowgenPod" -}}
{{- $sets := list (dict "app.kubernetes.io/name" "flowgen") (dict "app" "flowgen") }}
{{- with .Values.config.podSelector }}{{ $sets = list .matchLabels }}{{ end }}
{{- $any := list }}
{{- range $sets }}
{{- $all := list }}
{{- range $key, $value := . }}
{{- $all = append $all (printf "object.metadata.?labels[?'%s'].orValue('') == '%s'" $key $value) }}
{{- end }}
{{- $any = append $any (join " && " $all) }}
{{- end }}
{{- join " || " $any }}
{{- end }}

{{- define "fgw.celStrings" -}}
{{- range $at, $text := . }}{{ if $at }}, {{ end }}'{{ $text }}'{{ end }}
{{- end }}

{{- /* Whom the policies of the gateways' objects concern: everybody but the webhook, the controllers that delete what has lost its namespace or owner,
and who holds the verb break-glass. Who may do everything (`*`) holds every verb, by mistake too: that does not count. */}}
{{- define "fgw.outsiders" -}}
- name: neither-the-webhook-nor-a-collector
  expression: >-
    !(request.userInfo.username in [{{ include "fgw.writers" . }},
    'system:serviceaccount:kube-system:namespace-controller', 'system:serviceaccount:kube-system:generic-garbage-collector'])
- name: without-break-glass
  expression: >-
    !authorizer.group('flowgen.io').resource('gateways').namespace(request.namespace).check('break-glass').allowed() ||
    authorizer.group('flowgen.io').resource('gateways').namespace(request.namespace).check('*').allowed()
{{- end }}

{{- /* The end of a refusal's message, inside a CEL string: the way past it. */}}
{{- define "fgw.breakGlass" -}}
to do it all the same, act as a user with the verb break-glass on gateways.flowgen.io (ClusterRole {{ include "fgw.fullname" . }}-break-glass; a right to all verbs does not count): docs/operations.md, Break glass
{{- end }}
