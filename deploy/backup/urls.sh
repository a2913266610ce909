# Takes the passwords out of the URLs: what a program is given as an argument, everybody on the machine can read.

# REDIS_ARGUMENTS for redis-cli, and REDISCLI_AUTH
redis_arguments() {
    local form='^(rediss?)://(([^:@/]*)(:([^@/]*))?@)?(\[[^]]*\]|[^:/?]+)(:([0-9]+))?'
    [[ $1 =~ $form ]] || { echo "backup: REDIS_URL is to begin with redis:// or rediss://" >&2; exit 2; }
    local host=${BASH_REMATCH[6]//[\[\]]/}
    REDIS_ARGUMENTS=(-h "$host" -p "${BASH_REMATCH[8]:-6379}")
    [[ -n ${BASH_REMATCH[3]} ]] && REDIS_ARGUMENTS+=(--user "$(decoded "${BASH_REMATCH[3]}")")
    [[ ${BASH_REMATCH[1]} == rediss ]] && REDIS_ARGUMENTS+=(--tls ${REDIS_CA:+--cacert "$REDIS_CA"})
    [[ -z ${BASH_REMATCH[5]} ]] || export REDISCLI_AUTH="$(decoded "${BASH_REMATCH[5]}")"
}

# POSTGRES_URL without its password, and PGPASSWORD
postgres_arguments() {
    POSTGRES_URL=$1
    if [[ $1 =~ ^([a-z]+://[^:@/]*):([^@/]*)@(.*)$ ]]; then
        POSTGRES_URL="${BASH_REMATCH[1]}@${BASH_REMATCH[3]}"
        export PGPASSWORD="$(decoded "${BASH_REMATCH[2]}")"
    fi
}

decoded() {
    local text=${1//\\/\\\\}
    printf '%b' "${text//%/\\x}"
}
