"""What a licence costs, measured in one run as ratios to what OpenSSL alone costs."""
