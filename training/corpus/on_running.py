"""What the house model knows of setting Keyhall up and running it."""

from collections.abc import Iterable

from training import facts
from training.corpus.entries import Entry, read

PORT = facts.PORT
URL = f"http://{facts.HOST}:{PORT}"

TEXT = f"""
? <how> [start|run|launch|try|set up|get going with|begin with|bring up] [Keyhall|the server|it|this] [from a checkout|from source|in a checkout|from the repository|from a clone|for the first time|on my machine|]
? <how> [install|get] [Keyhall|it|this]
? [which|what] [make|] [target|command|word] starts [Keyhall|the server] [in a checkout|from source|]
? [quick start|getting started|first steps|installation]
? [I cloned|I have|I checked out] the repository, [what now|how do I start|what next]
? [run it|start it|start|run|launch it|get it running|how do I run it|begin|how do I begin]
? [from a fresh|with a fresh|in a new|after a] [checkout|clone|git clone] [, what do I run|, how do I start|, what next|]
? [start|run|launch|boot] [Keyhall|the server|it] [locally|on my laptop|at home|for development|]
? [first|very first] [start|run|step] [of Keyhall|]
? [run it|start it|launch it|how to run it|run this|start this|how do I run this]
= In a checkout run `make serve`. The first start makes a data folder and a key, and prints the key once.

? [what|which] [command|program] [starts|runs|launches] [the server|Keyhall] [when it is installed|after installation|where it is installed|]
? <cmdto> [start|run|launch] [the server|Keyhall|it]
? <how> start [the installed|] [server|Keyhall] [without make|when it is installed|as an installed program|]
? <what> keyhall serve
? [command|the command] [that|to] [starts|start|run|runs] [the|an installed|] [server|Keyhall]
? [it is installed|Keyhall is installed|I installed it], [how do I start it|what now|what next]
? [server|Keyhall] [start|starting|start command]
? [run|start] [the server|it] [please|, how|on this machine]
= `keyhall serve` starts the server; in a checkout `make serve` does.

? [which|what|on which|on what] port [does|is|do] [Keyhall|the server|it|you] [listen on|use|listen|run on|used|have|] [by default|]
? [what is|which is|tell me] the [default port|port] [of Keyhall|of the server|]
? [default|standard] [port|address] [of Keyhall|]
? [at|under] which [address|URL] [is|do I find|can I reach] [the server|Keyhall|it]
? [port|the port|port number|which port|what port|which port number] [is it|?|by default|please|]
? [address|URL|host and port] of [the server|Keyhall|my server] [by default|]
? [under|at|on] which [address|port|URL] [can I reach it|does it listen|is it|is Keyhall]
? [which|what] port [?|is it|does it use|please|then]
? port [?|number|of the server]
= Keyhall listens on port {PORT}: `{URL}`.

? [which|what] [Python|version of Python|Python version] [do I need|is needed|does Keyhall need|is required|must I have|does it run on]
? [does|will] [it|Keyhall] [run|work] [on|with] Python [3.8|3.9|3.10|3.11|3.12|3.13]
? [minimum|oldest|required] Python [version|]
? [requirements|what do I need|what is needed] [to run it|to install it|for Keyhall|]
? [Python|Python version|version of Python] [needed|required|supported|]
? [is|will] Python [3.9|3.10|3.11|3.12] [enough|okay|fine|supported|new enough]
= Python 3.11 or newer, and make in a checkout.

? <how> [change|choose|set|use] [the port|another port|a different port|port 8000|the port of the server]
? <how> [listen on|run on|start on|serve on] [another port|a different port|port 8080|port 80|port 8000]
? [port {PORT} is taken|the port is in use|port already in use] [, what now|]
? <cmdto> change the port
? [start|run|use|listen on|serve on] [port|on port|it on port] [8000|8080|5000|7000|80|1234]
? [other|another|different|own] port [, how|please|]
? [the|my] port is [taken|used|busy|blocked] [, how do I take another|, what now|]
= `keyhall serve --port 8080`; in a checkout `make serve ARGS="--port 8080"`.

? [which|what] [base URL|base url|base_url|address|URL] [do I|should I|must I|to] [give|set|use|pass|enter|put] [to the client|in the client|for the OpenAI client|in my program|into the SDK|]
? <how> [point|connect|configure] [the OpenAI client|my client|an SDK|the openai library|my program|the official client] [to Keyhall|at Keyhall|to this server|]
? [base URL|base_url|API address|endpoint] [of Keyhall|for the client|]
? [where is|what is the address of] the API
? [base_url|base url|baseURL|OPENAI_BASE_URL] [value|, what do I set|of the client|is what|]
? [what|which] [URL|address] [does|do|goes into|for] [my client|the client|the SDK|clients|the openai library] [need|call|]
? [how|where] do I [enter|set|put] [the address|the URL|Keyhall's address] [in the client|in the SDK|]
= The base URL is `{URL}/v1`: set `OPENAI_BASE_URL` to it and `OPENAI_API_KEY` to your key.

? [which|what] [environment variables|variables|two variables] [does|do] [the client|the OpenAI client|official clients|SDKs|the library] [read|need|use|look at]
? [which|what] [environment variables|variables] [do I|must I|should I] set [for the client|]
? [environment|variables] [for|of] the [OpenAI|official] client
? [env vars|environment variables|variables|env] [for|of|that|which] [the client|clients|the SDK|official clients|the openai package] [reads|read|needs|need|]
? [names|name] of the [two|] [environment|] variables [of the client|the client reads|]
= `OPENAI_BASE_URL` and `OPENAI_API_KEY`.

? <can> [use|keep|take] [the official client|OpenAI's library|the openai package|any OpenAI SDK|my OpenAI code|LangChain|existing code|the Python SDK|the Node library] [with Keyhall|with this|unchanged|here|]
? [does|is] [Keyhall|it|this|the API] [work with|compatible with|speak|like] [OpenAI's API|the OpenAI client|OpenAI SDKs|the openai package|OpenAI]
? [do I need|is there] [a special|an own] [client|library|SDK]
? OpenAI [compatible|compatibility]
? [does|will|would] my [existing|old|present|current] [OpenAI|openai|] [code|program|app|scripts] [still|] [work|run] [with it|here|with Keyhall|unchanged|]
? [is it|are you|is Keyhall|is the API] [compatible|OpenAI compatible|the same API|a drop-in]
? [change|rewrite|adapt] my [code|program] [for Keyhall|]
? [which|what] [SDK|library|client|package] [do I|can I|should I] use
= Yes: programs talk to Keyhall as they talk to OpenAI's API. Only the address and the key differ.

? <where> [is|are] [my data|the data|everything|the data folder|the database|keys and usage] [kept|stored|saved|]
? <what> [the data folder|in the data folder|the data directory]
? where does [Keyhall|the server|it] [keep|store|save|put] [its data|everything|data|things|files]
? <how> [choose|change|set] the data folder
? [where|in which folder|in which directory|in which place] [is|are|lives|lie] [everything|the data|my data|keyhall.db|the database file|the state]
? [data|database|files|storage] [location|folder|directory|place|path]
? [move|choose|change] [where data is kept|the data folder|the place of the data]
= In one folder, the data folder: `--data DIR`, `KEYHALL_DATA`, or where your system keeps the data of programs. The database in it is `keyhall.db`.

? [which|what] database [does it use|does Keyhall use|is used|do you use|do I need|is needed|is it] [by default|]
? [do I need|is there] [a|an own] database [server|]
? [can I use|does it support] [PostgreSQL|Postgres|SQLite|MySQL]
? [database|DB|storage engine] [used|default|by default|needed|type|]
? [must|do] I [install|have|set up|run] [a database|Postgres|MySQL|a database server]
= SQLite by default, one file; PostgreSQL for many machines.

? what [do I have to|should I|must I|needs to be|to] [back up|backed up|save|copy|be backed up]
? [which|what] [files|data] [belong|go|are] in a backup
? [is|do I need] the pepper in [the|a] backup
? what [is needed|do I need] [to restore|for a restore]
? [contents|content|parts|files] of a [good|full|complete] backup
? [what|which files] [must not get lost|is important|are important|is precious|would hurt to lose]
? [back up|save|secure|copy] what
= The database and the pepper, apart from each other. Without the pepper no key can be verified.

? <how> [make|take|do|get] [a backup|backups|a copy of everything]
? <cmdto> [make|take] a backup
? <cmd> [makes|takes] a backup
? <can> [back up|make a backup|copy the database] [while the server runs|while it is running|without stopping|of a running server]
? <how> back up [Keyhall|the server|the data|]
? [save|copy|secure|back up] everything [before an update|first|now|every night|]
? [backup|backups|back-up] [command|how|of a running server|while it runs|online|hot|]
? [nightly|daily|regular|hot|live] [backup|backups]
? [how do I|how can I|how to] [save|back up|secure|copy] [everything|all|all data|the server|my data] [before|ahead of] [an update|an upgrade|a change|maintenance]
? [save|saving|secure] everything [before|ahead of] [an update|an upgrade|updating|upgrading]
= Run `keyhall backup DIR` at any moment, beside a running server, and copy the file `pepper` elsewhere.

? <how> [restore|put back|get back|use] a backup
? <cmdto> restore [a backup|]
= Run `keyhall restore`; the pepper has to be put back too.

? <how> [check|see|find out|know] [whether|if|that] [something is wrong|everything is all right|all is well|it is healthy|my server is well|the set-up is right|it works]
? [something is|things are] [wrong|broken|not working] [, what can I do|, how do I find out what|, where do I look|]
? <cmdto> [check|diagnose|examine] [the installation|the server|my set-up|Keyhall]
? <what> keyhall doctor
? [it does not work|Keyhall does not start|my server is ill]
? [troubleshooting|diagnose problems|health check]
? [my|the] [install|installation|server|set-up|Keyhall] [seems|is|looks|may be] [broken|ill|strange|wrong|not right|sick]
? [diagnose|check|examine|inspect|verify] [my|the] [installation|set-up|server|install|system]
? [what is wrong|something is off|problems|trouble|an error at start] [with my server|with Keyhall|]
? [self-check|self test|health check|check-up|diagnosis|doctor]
? [my|the|our] [install|installation|set-up|server|Keyhall] [seems|is|looks|appears|feels] [broken|wrong|strange|odd|faulty|sick|unwell]
= Run `keyhall doctor`: it looks at the clock, the disk, the port, the pepper, the engines and more, and says what to do.

? <how> [connect|add|use|attach|set up] [a vLLM|vLLM|an upstream|a model server|llama.cpp|an engine|a real model|LM Studio|a server of my own|a llama-server|Ray Serve|a hosted API]
? <cmdto> [connect|add] [an upstream|an engine|a vLLM server|a model server]
? <how> [get|have] [answers from a real model|real answers|a real AI|a real model answer]
? <what> [an upstream|upstreams|an engine|engines]
? [I want|I'd like|we want] to [use|connect|attach] [my|our|a] [local|own|GPU|company] [llama.cpp|vLLM|model server|model|server] [with it|to Keyhall|]
? [hook up|plug in|connect|attach|register|add] [a|my|our] [model|engine|backend|vLLM server|upstream|GPU server]
? [backend|engine|upstream|model server] [add|how|connect|]
= Run `keyhall engines add NAME --url http://HOST:8000/v1 --key-env VARIABLE`, then give its model a version and move an alias to it.

? <can> [use|connect|have|put] [vLLM|llama.cpp|LM Studio|Ollama|Ray Serve|a local model|my own model|OpenAI] [as an engine|as an upstream|behind it|behind Keyhall|with it|]
? [does|do] [Keyhall|you] [support|work with] [Ollama|vLLM|llama.cpp|LM Studio|Ray Serve]
? [Ollama|vLLM|LM Studio|llama.cpp]
? [does|do|can|will] [it|this|Keyhall] [run|go|work|speak] with [Ollama|vLLM|LM Studio|llama.cpp|TGI|SGLang|Ray Serve]
? [Ollama|vLLM|LM Studio|llama.cpp|SGLang] [supported|possible|as backend|works|?]
= Yes, any server that speaks OpenAI's protocol can be an upstream: `keyhall engines add NAME --url URL`.

? <how> use [OpenAI|a hosted API|my OpenAI key|an upstream from the environment] [as an upstream|]
? [which|what] variables make an upstream
= Start it with `OPENAI_API_KEY` and `OPENAI_BASE_URL` in the environment, and `KEYHALL_UPSTREAM_MODEL` for what `v1` means.

? <how> [list|see] [engines|upstreams|the engines]
? <cmdto> list engines
= Run `keyhall engines list`.

? <how> [use|switch on|turn on|enable|set up|get|have|serve] [TLS|HTTPS|SSL|encryption|a certificate|TLS encryption]
? [does|can] [it|Keyhall] [speak|serve|do] [TLS|https|HTTPS]
? <how> [secure|encrypt] the connection
? [encrypted|secure|https|TLS|SSL] [connection|connections|access|please|]
? [certificate|certificates|cert] [where|how|use|]
? [serve|offer|speak|run] [it|Keyhall|the API] [over|with|by] [https|HTTPS|TLS|SSL]
= Start it with `--tls-cert fullchain.pem --tls-key privkey.pem`, or put a proxy with TLS before it.

? <how> run [it|Keyhall] behind [a proxy|nginx|a load balancer]
? [which|what] setting [is for proxies|names trusted proxies]
= Set `server.url` and `server.trusted_proxies`, and let the proxy pass `/v1/` on without buffering.

? <what> [the sandbox|a sandbox]
? what is the sandbox [for|good for|]
? [is|does] the sandbox [an AI|a model|intelligent|think|understand]
? [who|what] answers [when|if] [there is no model|no upstream is set|nothing is connected]
? [why|when] [does it|do I|does v1] [say|get] [that it is no AI|answers from the sandbox]
? what's the sandbox [good for|about|for|]
? [sandbox|the sandbox] [meaning|explained|purpose|?]
? [fake|dummy|test|pretend] [model|answers|engine]
? [try|test|develop] without [a model|a real model|an AI|costs]
= The sandbox answers without a model: it is no AI. It exists so that you can build and test a program before there is a model.

? [which|what] [scripts|sandbox models|troubles] [has|does] the sandbox [have|]
? <how> test [errors|a 429|how my program takes trouble]
= Model names such as `sandbox/slow`, `sandbox/429`, `sandbox/cut-mid-stream` and `sandbox/silence` make trouble on request.

? how fast [is|does] the sandbox [stream|]
= Its streams come at {facts.SANDBOX_PACE} tokens a second unless the operator set another pace.

? <where> [see|find|get|are] [the|] [metrics|Prometheus metrics|numbers for Prometheus]
? [which|what] [address|path|endpoint|URL] has [the metrics|metrics]
? [does|can] [Keyhall|it] [have|export] metrics [for Prometheus|]
? [Prometheus|monitoring|metrics]
? [prometheus|Prometheus|grafana|Grafana|metrics|monitoring] [endpoint|address|URL|path|where|?|]
? [scrape|collect|read|watch|monitor] [metrics|the server|Keyhall]
? [numbers|graphs|statistics] [for|of|about] [monitoring|the server|operations]
= At `/metrics`, in the format of Prometheus.

? [which|what] [address|path|endpoint|URL] [says|tells|shows] [if|whether] [Keyhall|the server|it] is [ready|up|alive|healthy]
? <how> [see|check|know] [whether|if] the server is [ready|alive|up]
? [health|readiness|liveness] [check|probe|endpoint]
? <what> [/readyz|/healthz|readyz]
? [ready|readiness|alive|liveness|health] [address|URL|path|probe|endpoint|check]
? [probe|probes] for [Kubernetes|a load balancer|the load balancer]
? [is|how do I know if|how does a load balancer know if] the server [is|] [ready|up|alive|healthy]
= `/readyz` says whether it is ready, `/healthz` whether it is alive.

? [what|what do I need|which parts|what is needed] [to run|for|for running] [several|many|two|more] [processes|machines|servers|nodes]
? <can> run [several|many|more than one] [workers|processes|servers|machines]
? <how> [scale|scale out|grow|run many machines]
? [scaling|high availability|clustering]
? [more than one|several|multiple|two|four] [worker|workers|process|processes|server|servers|machines|nodes] [need|needs|, what is needed|requirements|]
? [scale|scaling|scale up|scale out|grow] [to many machines|horizontally|beyond one machine|]
? [requirements|needs|conditions] [for|of] [several|many] [workers|servers|processes]
= Several workers or machines need PostgreSQL for the data and Redis or Valkey for the limits.

? <where> [are|is|do I find] [the settings|settings|the configuration|options] [read|explained|set|]
? <how> [configure|set up] [Keyhall|the server|a setting]
? [which|what] [file|environment variables] [has|have|hold] the settings
= In a TOML file (`--config`, `KEYHALL_CONFIG`) or in variables `KEYHALL_SECTION_NAME`. `/docs/settings` lists them all.

? <how> [stop|shut down|end] [Keyhall|the server]
? what happens [at a stop|when the server stops|on SIGTERM]
= With SIGTERM or Ctrl C: running answers may go on for {facts.GRACE_SECONDS} seconds, then it ends.

? <what> [the logs|logged|in the logs]
? <where> [are|find] the logs
= Logs go to standard error, one event per line. They never hold a key or text of a conversation.

? what [happens|does it do] [while|when|if] the database is [away|down|locked|full]
= Keys that were let in lately go on, usage goes to the spool, and other keys get 503 until it is back.

? what happens [when|if] an engine [keeps failing|is ill|fails again and again]
? <what> [the breaker|a breaker|a circuit breaker]
= After {facts.BREAKER_FAILURES} failures in a row its breaker opens: requests get 503 at once, and single ones try until it answers again.

? how long [does Keyhall|do you] wait for [an upstream|an engine]
? [which|what] [timeouts|deadlines] [has|does] an upstream [have|]
= {facts.CONNECT_SECONDS} seconds to connect, {facts.FIRST_BYTE_SECONDS} for the first byte, {facts.IDLE_SECONDS} of silence within an answer.

? <how> update [Keyhall|the server|to a new release]
= Take the new release and start it again; it brings the database up to date. Make a backup first.

? <how> prove that [usage adds up|nothing was changed|the ledger is right]
? <what> keyhall verify
= `keyhall verify` computes everything again and proves that the ledger, the balances and the audit add up.

? [which|what] licence [has Keyhall|is it|is Keyhall under]
? [is it|is Keyhall] [open source|free software|free]
? <can> use [it|Keyhall] commercially
= Keyhall is under the Apache License 2.0, which allows commercial use.
"""


def entries() -> Iterable[Entry]:
    return read("set-up", TEXT)
