# The tenant

variable "name" {
  description = "The tenant's name: its namespace, its name on every event, the beginning of its bucket's name, and its users at the object store (NAME, and NAME-erase for the function that may delete)."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]([-a-z0-9]{1,38}[a-z0-9])$", var.name))
    error_message = "name: 3 to 40 lower-case letters, digits and dashes, beginning with a letter and not ending with a dash."
  }
  validation {
    condition     = !can(regex("^(kube|knative)-|^(default|argo)$", var.name))
    error_message = "name: this namespace is the cluster's own; take another."
  }
}

variable "labels" {
  description = "Labels of the namespace, beside the module's own."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = !anytrue([for key in keys(var.labels) : can(regex("^(pod-security\\.kubernetes|polyglot|kubernetes)\\.io/", key))])
    error_message = "labels: those of pod-security.kubernetes.io, kubernetes.io and polyglot.io are the module's own; pod_security sets the first."
  }
}

variable "pod_security" {
  description = "Which Pod Security Standard the namespace enforces. Everything that is deployed passes restricted."
  type        = string
  default     = "restricted"
  nullable    = false

  validation {
    condition     = contains(["restricted", "baseline"], var.pod_security)
    error_message = "pod_security is restricted or baseline: with privileged, a training image could take the node."
  }
}

# What runs

variable "images" {
  description = "What each image is called in your registry, by its name in knative/rendered: jsondecode(file(\"build/images.json\")), which `make images` writes."
  type        = map(string)
  nullable    = false

  validation {
    condition     = length(setsubtract(local.image_names, keys(var.images))) == 0
    error_message = "images lacks ${join(", ", setsubtract(local.image_names, keys(var.images)))}: `make images` builds them and writes build/images.json."
  }
  validation {
    condition     = alltrue([for value in values(var.images) : can(regex("^[a-z0-9][^\\s@]*(:[A-Za-z0-9_][-A-Za-z0-9_.]*|@sha256:[0-9a-f]{64})$", value))])
    error_message = "images: each is NAME:TAG or NAME@sha256:DIGEST; without either, nobody can say which version runs."
  }
}

variable "gpu" {
  description = "Deploy the functions for GPU nodes too. The cluster needs the feature flags of modules/platform, and nodes labelled accelerator=nvidia."
  type        = bool
  default     = false
  nullable    = false
}

variable "settings" {
  description = "More settings of docs/settings.md, such as OTEL_EXPORTER_OTLP_ENDPOINT; never a secret."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = length(setintersection(keys(var.settings), keys(local.own_settings))) == 0
    error_message = "settings: ${join(", ", setintersection(keys(var.settings), keys(local.own_settings)))} are set by variables of their own."
  }
  validation {
    condition     = !anytrue([for key in keys(var.settings) : can(regex("SECRET|TOKEN|PASSWORD|PRIVATE|ACCESS_KEY|_HEADERS$|^POLYGLOT_KEYS$", key))])
    error_message = "settings: a ConfigMap and Terraform's state are no place for secrets; credentials are in Secrets, which the module's script makes."
  }
}

variable "log_format" {
  description = "How functions write their log: json or text."
  type        = string
  default     = "json"
  nullable    = false

  validation {
    condition     = contains(["json", "text"], var.log_format)
    error_message = "log_format is json or text."
  }
}

variable "training_disk" {
  description = "The most bytes that one training may write."
  type        = number
  default     = 10737418240
  nullable    = false

  validation {
    condition     = var.training_disk > 0 && floor(var.training_disk) == var.training_disk
    error_message = "training_disk is a whole number of bytes above zero."
  }
}

# The ledger

variable "ledger_address" {
  description = "The address of the tenant's AssetLedger, which `polyglot ledger init` prints. The admin key stays outside."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^0x[0-9a-fA-F]{40}$", var.ledger_address)) && !can(regex("^0x0{40}$", var.ledger_address))
    error_message = "ledger_address is 0x and 40 hexadecimal digits, as `polyglot ledger init` prints it."
  }
}

variable "evidence_log_address" {
  description = "The address of the tenant's EvidenceLog, which `polyglot ledger init` prints too."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^0x[0-9a-fA-F]{40}$", var.evidence_log_address)) && !can(regex("^0x0{40}$", var.evidence_log_address))
    error_message = "evidence_log_address is 0x and 40 hexadecimal digits, as `polyglot ledger init` prints it."
  }
  validation {
    condition     = lower(var.evidence_log_address) != lower(var.ledger_address)
    error_message = "evidence_log_address is the ledger's: `polyglot ledger init` prints two addresses."
  }
}

variable "chain_id" {
  description = "The chain's number."
  type        = number
  nullable    = false

  validation {
    condition     = var.chain_id > 0 && floor(var.chain_id) == var.chain_id
    error_message = "chain_id is a whole number above zero."
  }
}

variable "rpc_url" {
  description = "The EVM node's JSON-RPC address, as functions reach it."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^https?://[^\\s/@]+(/\\S*)?$", var.rpc_url))
    error_message = "rpc_url is an http or https address without user name and password."
  }
}

# The object store

variable "store" {
  description = "The object store. kind says who makes the two users: versitygw (the module's script, through its admin API at admin_url, as AWS_ACCESS_KEY_ID of the environment) or existing (you: the namespace with the Secrets polyglot-s3 and polyglot-s3-erase has to be there before). url is its address for functions, null for AWS; public_url for clients, where that is another one; principals are the users as a bucket policy names them, if not by their names."
  type = object({
    kind       = optional(string, "versitygw")
    url        = optional(string)
    public_url = optional(string)
    admin_url  = optional(string)
    region     = optional(string, "us-east-1")
    principals = optional(object({ functions = string, erase = string }))
  })
  nullable = false

  validation {
    condition     = contains(["versitygw", "existing"], var.store.kind)
    error_message = "store.kind is versitygw or existing."
  }
  validation {
    condition     = var.store.kind == "existing" || var.store.admin_url != null
    error_message = "store.admin_url: where this machine reaches versitygw's admin API, to make the tenant's users."
  }
  validation {
    condition     = alltrue([for url in [var.store.url, var.store.public_url, var.store.admin_url] : url == null ? true : can(regex("^https?://[^\\s/@]+$", url))])
    error_message = "store: url, public_url and admin_url are http or https addresses without user name, password and path."
  }
}

variable "bucket" {
  description = "The bucket's name; NAME-models if not set."
  type        = string
  default     = null

  validation {
    condition     = var.bucket == null ? true : can(regex("^[a-z0-9]([-a-z0-9]{1,61}[a-z0-9])$", var.bucket))
    error_message = "bucket: 3 to 63 lower-case letters, digits and dashes."
  }
}

variable "versioning" {
  description = "Keep what is overwritten or deleted in the bucket. Off only where the store has none."
  type        = bool
  default     = true
  nullable    = false
}

variable "object_lock" {
  description = "Hold every object for some days, in which nobody may delete it (COMPLIANCE) or only who has the right to bypass (GOVERNANCE). Decided when the bucket is made; null is without. Parts of the platform that delete, such as gc, then wait too."
  type        = object({ mode = string, days = number })
  default     = null

  validation {
    condition     = var.object_lock == null ? true : contains(["COMPLIANCE", "GOVERNANCE"], var.object_lock.mode) && var.object_lock.days >= 1
    error_message = "object_lock: mode is COMPLIANCE or GOVERNANCE, days at least 1."
  }
  validation {
    condition     = var.object_lock == null || var.versioning
    error_message = "object_lock needs versioning."
  }
}

variable "bucket_policy" {
  description = "Set the bucket's policy: both users open it, only the second deletes below assets/, neither changes the rules. Off only where the store knows no policies of buckets (MinIO's users have policies of their own)."
  type        = bool
  default     = true
  nullable    = false
}

variable "force_destroy" {
  description = "Let `terraform destroy` remove a bucket that is not empty, with everything the tenant has registered."
  type        = bool
  default     = false
  nullable    = false
}

# Addresses

variable "domain" {
  description = "Knative's domain (config-domain), below which functions are: FUNCTION.NAME.DOMAIN."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", var.domain))
    error_message = "domain is a DNS name, without scheme, port and path."
  }
}

variable "scheme" {
  description = "How clients reach functions: http or https."
  type        = string
  default     = "http"
  nullable    = false

  validation {
    condition     = contains(["http", "https"], var.scheme)
    error_message = "scheme is http or https."
  }
}

variable "broker_url" {
  description = "Where events are announced; the in-memory Broker's address in knative-eventing if not set."
  type        = string
  default     = null

  validation {
    condition     = var.broker_url == null ? true : can(regex("^https?://[^\\s@]+/${var.name}/polyglot$", var.broker_url))
    error_message = "broker_url is the address of this tenant's Broker, ending in /${var.name}/polyglot."
  }
}

variable "oidc" {
  description = "An OpenID Connect issuer whose tokens are taken beside the tenant's own: audience, and where in a token the subject and the roles are. Null is without."
  type = object({
    issuer        = string
    audience      = string
    subject_claim = optional(string, "sub")
    roles_claim   = optional(string, "roles")
    role_prefix   = optional(string, "")
  })
  default = null

  validation {
    condition     = var.oidc == null ? true : can(regex("^(https://|http://[^/]+\\.svc(\\.cluster\\.local)?(:[0-9]+)?(/|$))[^\\s@]*$", var.oidc.issuer)) && length(var.oidc.audience) > 0
    error_message = "oidc: issuer is the address in its tokens' iss, https unless it is a Service of this cluster; audience is what their aud must hold."
  }
}

# Bounds

variable "quota" {
  description = "What the namespace may have at once. A deployment takes about 1 CPU and 6 GiB of requests for a moment; each translation or check by execution 5 GiB, each training what its model asks for."
  type = object({
    cpu               = optional(string, "16")
    memory            = optional(string, "48Gi")
    cpu_limit         = optional(string, "96")
    memory_limit      = optional(string, "64Gi")
    ephemeral_storage = optional(string, "64Gi")
    pods              = optional(number, 100)
    gpus              = optional(number, 0)
    services          = optional(number, 40)
    workflows         = optional(number, 500)
    secrets           = optional(number, 20)
  })
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for value in [var.quota.cpu, var.quota.memory, var.quota.cpu_limit, var.quota.memory_limit, var.quota.ephemeral_storage] : can(regex("^[0-9]+(\\.[0-9]+)?(m|Ki|Mi|Gi|Ti|k|M|G|T)?$", value))])
    error_message = "quota: cpu, memory, their limits and ephemeral_storage are quantities of Kubernetes, such as 16 or 48Gi."
  }
  validation {
    condition     = alltrue([for value in [var.quota.pods, var.quota.gpus, var.quota.services, var.quota.workflows, var.quota.secrets] : value >= 0 && floor(value) == value])
    error_message = "quota: pods, gpus, services, workflows and secrets are whole numbers."
  }
  validation {
    condition     = var.quota.services >= length(local.service_names)
    error_message = "quota.services: ${length(local.service_names)} Services are deployed; give at least as many."
  }
  validation {
    condition     = !var.gpu || var.quota.gpus > 0
    error_message = "quota.gpus: functions for GPU nodes are deployed (gpu), so give at least 1."
  }
}

variable "container" {
  description = "What a container reserves and may use that does not say so itself: Knative's queue-proxy, Argo's executor. max_cpu and max_memory bound what a single training can ask for; null is the quota's own bound."
  type = object({
    cpu_request       = optional(string, "25m")
    cpu_limit         = optional(string, "1")
    memory_request    = optional(string, "64Mi")
    memory_limit      = optional(string, "256Mi")
    ephemeral_storage = optional(string, "64Mi")
    max_cpu           = optional(string)
    max_memory        = optional(string)
  })
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for value in values(var.container) : value == null ? true : can(regex("^[0-9]+(\\.[0-9]+)?(m|Ki|Mi|Gi|Ti|k|M|G|T)?$", value))])
    error_message = "container: each is a quantity of Kubernetes, such as 25m or 256Mi."
  }
}

# The network

variable "network" {
  description = "Where the parts are that pods may talk with, each by the namespace of its pods (all ports) or by CIDRs with ports: the ingress controller's pods, the object store, the EVM node, the Kubernetes API server (`kubectl get endpointslices --namespace default`), the OIDC issuer, an OpenTelemetry collector. A store inside the cluster is labelled polyglot.io/storage=true too (modules/platform)."
  type = object({
    ingress_namespaces = list(string)
    serving_namespace  = optional(string, "knative-serving")
    eventing_namespace = optional(string, "knative-eventing")
    dns_namespace      = optional(string, "kube-system")
    store              = object({ namespace = optional(string), cidrs = optional(list(string), []), ports = optional(list(number), [443]) })
    rpc                = object({ namespace = optional(string), cidrs = optional(list(string), []), ports = optional(list(number), [443, 8545]) })
    api_server         = object({ namespace = optional(string), cidrs = optional(list(string), []), ports = optional(list(number), [443, 6443]) })
    oidc               = optional(object({ namespace = optional(string), cidrs = optional(list(string), []), ports = optional(list(number), [443]) }))
    telemetry          = optional(object({ namespace = optional(string), cidrs = optional(list(string), []), ports = optional(list(number), [4318]) }))
  })
  nullable = false

  validation {
    condition     = length(var.network.ingress_namespaces) > 0
    error_message = "network.ingress_namespaces: name the namespace of the ingress controller's pods, or nobody reaches a function."
  }
  validation {
    condition     = alltrue([for one in [var.network.store, var.network.rpc, var.network.api_server, var.network.oidc, var.network.telemetry] : one == null ? true : one.namespace != null || length(one.cidrs) > 0])
    error_message = "network: store, rpc, api_server (and oidc and telemetry, where they are given) each need a namespace or CIDRs."
  }
  validation {
    condition     = alltrue(flatten([for one in [var.network.store, var.network.rpc, var.network.api_server, var.network.oidc, var.network.telemetry] : one == null ? [] : [for cidr in one.cidrs : can(cidrhost(cidr, 0))]]))
    error_message = "network: each of the cidrs is an address with a prefix, such as 192.0.2.1/32."
  }
  validation {
    condition     = (var.oidc == null) == (var.network.oidc == null)
    error_message = "network.oidc says where the issuer is that oidc names: give both or neither."
  }
}

# How the scripts work

variable "kubectl" {
  description = "How kubectl, which the scripts call, reaches the cluster: the same kubeconfig and context as the kubectl provider's. What is not set is kubectl's own default (KUBECONFIG, the current context)."
  type = object({
    kubeconfig = optional(string)
    context    = optional(string)
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.kubectl.kubeconfig == null || try(fileexists(pathexpand(var.kubectl.kubeconfig)), false)
    error_message = "kubectl.kubeconfig is no file: give the path of a kubeconfig, or leave it out to use KUBECONFIG."
  }
}

variable "ready_timeout" {
  description = "Seconds that keys and then functions may take to be ready; afterwards apply ends with what each one waits for."
  type        = number
  default     = 600
  nullable    = false

  validation {
    condition     = var.ready_timeout >= 30
    error_message = "ready_timeout: at least 30 seconds."
  }
}
