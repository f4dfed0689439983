# The daemon and claude in one image, as an ordinary user.
#
#   docker build -t claude-code-daemon .
#   docker run --rm --init --network=host -e ANTHROPIC_API_KEY -v "$PWD:/workspace" -v claude-code-daemon:/home/daemon-user claude-code-daemon
#
# The daemon listens on loopback alone: there are no tokens yet, and its API is a shell for whoever reaches it. With
# --network=host that is the host's loopback. Publishing a port (-p) reaches nothing, on purpose.

FROM node:22-bookworm-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates git && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
# Building needs no claude; the proof needs one, and is made where the image runs.
RUN ./install.sh --no-claude --allow-root

FROM node:22-bookworm-slim
# What agents use: git, a CA store; bubblewrap is claude's and the daemon's sandbox.
RUN apt-get update \
  && apt-get install -y --no-install-recommends bubblewrap ca-certificates git procps ripgrep \
  && rm -rf /var/lib/apt/lists/*
RUN npm install --global --no-fund --no-audit @anthropic-ai/claude-code@2.1.330 && npm cache clean --force
COPY --from=build /root/.local/bin/claude-code-daemon /usr/local/bin/claude-code-daemon

RUN useradd --create-home --uid 10001 daemon-user && mkdir /workspace && chown daemon-user: /workspace
USER daemon-user
ENV HOME=/home/daemon-user DISABLE_AUTOUPDATER=1
WORKDIR /workspace
HEALTHCHECK --interval=30s --timeout=5s CMD ["node", "-e", "fetch('http://127.0.0.1:8080/health').then(r => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["claude-code-daemon"]
CMD ["start", "--workspace=/workspace"]
