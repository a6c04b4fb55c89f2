# The image of Portcullis: the program, the C libraries that it needs, authorities, time zones. docs/image.md is the
# manual. Builds with BuildKit and without.

ARG BUILD_IMAGE=rust:1.95-bookworm
ARG RUNTIME_IMAGE=debian:bookworm-slim

FROM ${BUILD_IMAGE} AS build
ARG PROFILE=release
# A program of the build context that was built before, instead of compiling here.
ARG PROGRAM=
WORKDIR /source
COPY . .
RUN set -eu; \
    mkdir -p /out; \
    if [ -n "$PROGRAM" ]; then cp "$PROGRAM" /out/portcullis; exit; fi; \
    # The cryptography is in C.
    if ! command -v cc >/dev/null; then \
        apt-get update -q; \
        apt-get install -q -y --no-install-recommends gcc libc6-dev; \
    fi; \
    cargo build --locked --profile "$PROFILE" --package portcullis; \
    cp "target/$PROFILE/portcullis" /out/portcullis; \
    strip --strip-debug /out/portcullis

# Everything that goes into the image, below /image.
FROM ${RUNTIME_IMAGE} AS system
COPY --from=build /out/portcullis /image/portcullis
RUN set -eu; \
    if [ ! -s /etc/ssl/certs/ca-certificates.crt ] || [ ! -d /usr/share/zoneinfo ]; then \
        apt-get update -q; \
        apt-get install -q -y --no-install-recommends ca-certificates tzdata; \
    fi; \
    mkdir -p /image/etc/ssl/certs /image/usr/share /image/tmp; \
    chmod 1777 /image/tmp; \
    cp /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/; \
    cp -R /usr/share/zoneinfo /image/usr/share/; \
    printf '%s\n' root:x:0:0:root:/:/portcullis nonroot:x:65532:65532:nonroot:/:/portcullis >/image/etc/passwd; \
    printf '%s\n' root:x:0: nonroot:x:65532: >/image/etc/group; \
    # The libraries must be those that the program runs with here.
    for library in $(ldd /image/portcullis | grep -o '/[^ ]*'); do \
        mkdir -p "/image$(dirname "$library")"; \
        cp -L "$library" "/image$library"; \
    done; \
    /image/portcullis version

# For those who give the program no rights at all.
FROM scratch AS nonroot
COPY --from=system /image/ /
USER 65532:65532
EXPOSE 80 443 8080
ENTRYPOINT ["/portcullis"]

# The default: root, as the owner of Docker's socket and of files from the host.
FROM scratch
COPY --from=system /image/ /
EXPOSE 80 443 8080
ENTRYPOINT ["/portcullis"]
