# wardbell as an image: the binary, the libraries that it is linked to, the certificate authorities, and nothing else.
#
#   docker build -t wardbell .
#
# No shell and no package manager is in it, it runs as a user without a name anywhere else, and needs nothing to write but
# /var/lib/wardbell. It is configured by the environment (config/default.toml names every key) and refuses to start without a secret.

# The page.
FROM node:20-bookworm-slim AS page
WORKDIR /web
COPY web/package.json web/package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY web ./
RUN npm run build

FROM rust:1.95-slim-bookworm AS build
WORKDIR /build
ENV CARGO_PROFILE_RELEASE_STRIP=symbols

# The dependencies, in a layer of their own: it is kept until they change.
COPY Cargo.toml Cargo.lock ./
COPY .cargo .cargo
# Benchmarks are named in Cargo.toml, which is refused without them; they are never built here.
RUN mkdir -p src benches/fanout \
 && echo 'fn main() {}' > src/main.rs \
 && touch src/lib.rs benches/ehr.rs benches/fanout/main.rs benches/micro.rs benches/instructions.rs \
 && cargo build --release --locked

# The page is there already: nothing in this stage calls npm.
ENV WARDBELL_CONSOLE=skip
COPY build.rs ./
COPY --from=page /web/dist web/dist
COPY config config
COPY src src
RUN touch src/main.rs src/lib.rs \
 && cargo build --release --locked

# What the final image has, laid out. The libraries are taken from where the binary was linked, by asking the loader; since
# glibc 2.34 the C library itself reads /etc/hosts and asks the name servers.
RUN mkdir -p /image/usr/local/bin /image/etc/ssl/certs /image/usr/share/doc/wardbell \
 && cp target/release/wardbell /image/usr/local/bin/ \
 && ldd target/release/wardbell | grep -o '/lib[^ ]*' | xargs -I {} cp --dereference --parents {} /image \
 && cp /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/ \
 && echo 'hosts: files dns' > /image/etc/nsswitch.conf \
 && echo 'wardbell:x:65532:65532::/var/lib/wardbell:/sbin/nologin' > /image/etc/passwd \
 && echo 'wardbell:x:65532:' > /image/etc/group \
 && install -d -o 65532 -g 65532 -m 0700 /image/var/lib/wardbell
COPY LICENSE /image/usr/share/doc/wardbell/

FROM scratch
LABEL org.opencontainers.image.title="wardbell" \
      org.opencontainers.image.description="The alert server for hospitals: REST in, Socket.IO out, nothing accepted is lost" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /image /

ENV PATH=/usr/local/bin \
    HOST=0.0.0.0 \
    AUTH_MODE=token \
    LOG_FORMAT=json \
    DATABASE_URL=sqlite:///var/lib/wardbell/wardbell.db \
    WARDBELL__STORE__SPOOL=/var/lib/wardbell/spool.db
USER 65532:65532
WORKDIR /var/lib/wardbell
VOLUME /var/lib/wardbell
EXPOSE 5000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=6s --start-period=30s --retries=3 CMD ["wardbell", "healthcheck"]
ENTRYPOINT ["wardbell"]
CMD ["serve"]
